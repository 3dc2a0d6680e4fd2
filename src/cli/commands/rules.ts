// podwire rules: what runs in a Node's kernel, as the real tools print it.
import { ask } from '../control-client.ts';

export async function rules(options: { node?: string; output: string }): Promise<void> {
  const query = new URLSearchParams({ format: options.output, ...(options.node ? { node: options.node } : {}) });
  process.stdout.write((await ask(`/rules?${query}`)) as string);
}
