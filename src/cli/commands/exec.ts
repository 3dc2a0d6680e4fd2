// podwire exec: a command in a Pod, with this process's streams and its exit code.
import { exec as execInPod } from '../control-client.ts';

export async function exec(
  pod: string,
  command: readonly string[],
  options: { container?: string; stdin?: boolean; tty?: boolean },
): Promise<void> {
  process.exitCode = await execInPod({
    pod,
    command: command[0] === '--' ? command.slice(1) : command, // commander leaves it in when passing options through
    ...(options.container ? { container: options.container } : {}),
    stdin: options.stdin ?? false,
    tty: options.tty ?? false,
  });
}
