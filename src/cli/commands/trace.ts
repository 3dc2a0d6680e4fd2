// podwire trace: explains what the Node would do to a packet.
import type { AskedTrace } from '../../cluster/trace-question.ts';
import { formatTrace } from '../../kernel/what-if/text.ts';
import type { TraceAnswer } from '../../kernel/what-if/types.ts';
import { CliError } from '../cli-error.ts';
import { ask } from '../control-client.ts';

export async function trace(options: {
  pod?: string;
  from?: string;
  to: string;
  protocol: AskedTrace['protocol'];
  output: 'text' | 'json';
}): Promise<void> {
  const { output, ...question } = options;
  if (!question.pod === !question.from)
    throw new CliError('expected either --pod NAMESPACE/NAME or --from ADDRESS[:PORT]', { exitCode: 2 });
  const answer = (await ask(`/trace?${new URLSearchParams({ q: JSON.stringify(question) })}`)) as TraceAnswer;
  process.stdout.write(output === 'json' ? `${JSON.stringify(answer, null, 2)}\n` : formatTrace(answer));
}
