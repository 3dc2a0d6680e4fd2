// curl, as far as people test Services with it: HTTP over the Pod's own TCP, with TLS where asked. Options, messages and exit codes are those of
// 7.88. Deviation: no progress meter, which the real one writes to stderr when its output is no terminal (as with -s, always).
// Left out: other protocols, HTTP/1.0 and 2 requests, cookies, retries, URL globbing, IPv6.
import type { Program } from '../../workloads/program.ts';
import { StackAgent } from '../stack-agent.ts';
import { parseCurl } from './options.ts';
import { Transfer } from './transfer.ts';
import { expandWriteOut } from './write-out.ts';

export const curl: Program = async (ctx) => {
  const parsed = parseCurl(ctx.argv.slice(1), ctx.files, ctx.cwd);
  if ('code' in parsed) {
    ctx.stdout.write(parsed.stdout);
    ctx.stderr.write(parsed.stderr);
    return parsed.code;
  }
  const { urls, options } = parsed;
  const agent = new StackAgent();
  const connections = { count: 0 };
  let code = 0;
  try {
    for (const [address, port] of [...options.resolved].map(([where, ip]) => [ip, where] as const))
      if (options.verbose) ctx.stderr.write(`* Added ${port}:${address} to DNS cache\n`);
    for (const [i, url] of urls.entries()) {
      const outcome = await new Transfer(ctx, options, agent, connections).run(url, options.outputs[i]);
      code = outcome.error?.code ?? 0;
      if (outcome.error && (!options.silent || options.showError)) {
        if (outcome.error.preface) ctx.stderr.write(`curl: ${outcome.error.preface}\n`);
        ctx.stderr.write(`curl: (${code}) ${outcome.error.message}\n${outcome.error.epilogue}`);
      }
      if (options.writeOut !== undefined) {
        const { stdout, stderr } = expandWriteOut(options.writeOut, outcome);
        ctx.stderr.write(stderr);
        ctx.stdout.write(stdout);
      }
    }
    return code;
  } finally {
    agent.destroy();
  }
};
