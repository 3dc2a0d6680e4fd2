// A TraceAnswer as text, laid out like `ovs-appctl ofproto/trace`: the flow, numbered stages with the rule that matched and
// what it did, the way back, and one closing line.
import type { TraceAnswer, TraceEndpoint, TraceHop } from './types.ts';

/** Ends with a newline. */
export function formatTrace(answer: TraceAnswer): string {
  const first = answer.hops[0];
  const lines = [`Flow: ${first?.before ?? ''}`];
  section(lines, `${first?.node ?? ''}: request`, answer.hops);
  if (answer.reply.length > 0) section(lines, `${answer.reply[0]!.node}: reply`, answer.reply);
  lines.push('', `Final: ${final(answer)}`);
  return `${lines.join('\n')}\n`;
}

function section(lines: string[], title: string, hops: readonly TraceHop[]): void {
  lines.push('', title, '-'.repeat(title.length));
  hops.forEach((hop, i) => {
    const number = String(i + 1).padStart(2);
    const [rule, ...more] = hop.rule.split('\n');
    if (rule) {
      lines.push(`${number}. ${hop.stage}: ${rule}`);
      for (const line of more) lines.push(`    ${line}`);
      lines.push(`    ${hop.action}`);
    } else {
      lines.push(`${number}. ${hop.stage}: ${hop.action}`);
    }
    if (hop.after !== hop.before) lines.push(`     -> ${hop.after}`);
  });
}

function final({ verdict, endpoints, reason }: TraceAnswer): string {
  const targets = endpoints.map((e) => `${endpointText(e)} (${percent(e.probability)})`).join(', ');
  return `${verdict}${targets ? ` to ${targets}` : ''}; ${reason}`;
}

/** `10.244.0.5:80`, `[fd00::5]:80`. */
export function endpointText({ address, port }: Pick<TraceEndpoint, 'address' | 'port'>): string {
  return address.includes(':') ? `[${address}]:${port}` : `${address}:${port}`;
}

/** `33.3 %`. */
export function percent(probability: number): string {
  return `${Math.round(probability * 1000) / 10} %`;
}
