import t, { type Test } from 'tap';
import { IPS_ASSURED } from '../../../../src/kernel/netfilter/conntrack/ctinfo.ts';
import { TCP_STATE_NAMES } from '../../../../src/kernel/netfilter/conntrack/print.ts';
import { type Lab, onNode, POD_A, POD_B } from '../../../support/kernel.ts';
import { ip, tcp } from '../../../support/packet.ts';

const DROP_INVALID = {
  op: 'iptables-restore',
  table: 'filter',
  chains: [
    { name: 'FORWARD', rules: [{ matches: [{ kind: 'ctstate', states: ['INVALID'] }], target: { kind: 'DROP' } }] },
  ],
} as const;

interface Step {
  /** `>` from the client, `<` from the server: flags, seq, ack, data bytes. */
  readonly packet: readonly [
    dir: '>' | '<',
    flags: string,
    seq: number,
    ack: number,
    data?: number,
    options?: readonly number[],
  ];
  /** State and timeout afterwards; `none`: no connection, `invalid`: dropped by the rule above, state as given. */
  readonly state?: string;
  readonly timeoutS?: number;
  readonly invalid?: boolean;
  readonly window?: number;
  /** Time that passes before, in seconds. */
  readonly after?: number;
}

const OPEN: Step[] = [
  { packet: ['>', 'S', 1000, 0], state: 'SYN_SENT', timeoutS: 120 },
  { packet: ['<', 'SA', 5000, 1001], state: 'SYN_RECV', timeoutS: 60 },
  { packet: ['>', 'A', 1001, 5001], state: 'ESTABLISHED', timeoutS: 432000 },
];

function play(t: Test, lab: Lab, steps: readonly Step[]): void {
  lab.netlink.commit([DROP_INVALID]);
  steps.forEach((step, i) => {
    if (step.after) lab.clock.advance(step.after * 1e6);
    const [dir, flags, seq, ack, data = 0, options = []] = step.packet;
    const what = `${i}: ${dir} ${flags} ${seq}(${data}) ${ack}`;
    const segment = { flags, seq, ack, options, window: step.window ?? 65535 };
    if (dir === '>')
      lab.from('a', ip({ saddr: POD_A, daddr: POD_B }, tcp({ sport: 4000, dport: 80, ...segment }, 'x'.repeat(data))));
    else
      lab.from('b', ip({ saddr: POD_B, daddr: POD_A }, tcp({ sport: 80, dport: 4000, ...segment }, 'x'.repeat(data))));
    const passed = lab.take(dir === '>' ? 'b' : 'a').length === 1;
    t.equal(passed, !step.invalid, `${what} ${step.invalid ? 'is invalid' : 'passes'}`);
    const [entry] = lab.netlink.conntrack();
    const state = entry ? TCP_STATE_NAMES[entry.state] : 'none';
    if (step.state) t.equal(state, step.state, `${what}: state`);
    if (step.timeoutS !== undefined) t.equal(entry?.timeoutS, step.timeoutS, `${what}: timeout`);
  });
}

const scripts: Record<string, Step[]> = {
  'opened and closed by the client': [
    ...OPEN,
    { packet: ['>', 'PA', 1001, 5001, 10], state: 'ESTABLISHED', timeoutS: 300 }, // data not acknowledged yet
    { packet: ['<', 'A', 5001, 1011], state: 'ESTABLISHED', timeoutS: 432000 },
    { packet: ['>', 'FA', 1011, 5001], state: 'FIN_WAIT', timeoutS: 120 },
    { packet: ['<', 'A', 5001, 1012], state: 'CLOSE_WAIT', timeoutS: 60 },
    { packet: ['<', 'FA', 5001, 1012], state: 'LAST_ACK', timeoutS: 30 },
    { packet: ['>', 'A', 1012, 5002], state: 'TIME_WAIT', timeoutS: 120 },
  ],
  'reset by the server': [...OPEN, { packet: ['<', 'RA', 5001, 1001], state: 'CLOSE', timeoutS: 10 }],
  'refused: the only answer is a reset, and the connection is gone': [
    { packet: ['>', 'S', 1000, 0], state: 'SYN_SENT' },
    { packet: ['<', 'RA', 0, 1001], state: 'none' },
  ],
  'a repeated SYN does not renew the timeout': [
    { packet: ['>', 'S', 1000, 0], state: 'SYN_SENT', timeoutS: 120 },
    { packet: ['>', 'S', 1000, 0], after: 20, state: 'SYN_SENT', timeoutS: 100 },
  ],
  'an unanswered SYN is forgotten': [
    { packet: ['>', 'S', 1000, 0] },
    { packet: ['<', 'SA', 5000, 1001], after: 121, state: 'none', invalid: true },
  ],
  'an ACK before the SYN,ACK is invalid': [
    { packet: ['>', 'S', 1000, 0], state: 'SYN_SENT' },
    { packet: ['>', 'A', 1001, 5001], state: 'SYN_SENT', invalid: true },
  ],
  'a FIN or RST or SYN,ACK out of nowhere starts nothing': [
    { packet: ['>', 'FA', 1000, 1], state: 'none', invalid: true },
    { packet: ['>', 'RA', 1000, 1], state: 'none', invalid: true },
    { packet: ['<', 'SA', 1000, 1], state: 'none', invalid: true },
  ],
  'data in the middle of a connection is picked up': [
    { packet: ['>', 'PA', 7000, 9000, 10], state: 'ESTABLISHED', timeoutS: 300 },
    { packet: ['<', 'A', 9000, 7010], state: 'ESTABLISHED', timeoutS: 300 },
    { packet: ['>', 'A', 7010, 9000], state: 'ESTABLISHED', timeoutS: 432000 },
  ],
  'nonsense flags are invalid': [
    { packet: ['>', 'SF', 1000, 0], state: 'none', invalid: true },
    { packet: ['>', 'SR', 1000, 0], state: 'none', invalid: true },
    { packet: ['>', 'F', 1000, 0], state: 'none', invalid: true },
    { packet: ['>', '', 1000, 0], state: 'none', invalid: true },
  ],
  'far out of the window is invalid, retransmission passes': [
    ...OPEN,
    { packet: ['>', 'PA', 1001, 5001, 10], state: 'ESTABLISHED' },
    { packet: ['>', 'PA', 1001, 5001, 10], state: 'ESTABLISHED' },
    { packet: ['>', 'PA', 500_000, 5001, 10], invalid: true },
    { packet: ['<', 'A', 5001, 900_000], invalid: true },
    { packet: ['<', 'RA', 4000, 1011], state: 'ESTABLISHED', invalid: true },
  ],
  'window scaling counts when both offer it': [
    { packet: ['>', 'S', 1000, 0, 0, [3, 3, 7, 1]] },
    { packet: ['<', 'SA', 5000, 1001, 0, [3, 3, 7, 1]] },
    { packet: ['>', 'A', 1001, 5001], window: 1000 },
    { packet: ['<', 'PA', 5001 + 120_000, 1001, 10] },
  ],
  'and not when one does not': [
    { packet: ['>', 'S', 1000, 0, 0, [3, 3, 7, 1]] },
    { packet: ['<', 'SA', 5000, 1001, 0] },
    { packet: ['>', 'A', 1001, 5001], window: 1000 },
    { packet: ['<', 'PA', 5001 + 120_000, 1001, 10], invalid: true },
  ],
  'a SYN in TIME_WAIT after an orderly close makes a new connection': [
    ...OPEN,
    { packet: ['>', 'FA', 1001, 5001] },
    { packet: ['<', 'FA', 5001, 1002], state: 'LAST_ACK' },
    { packet: ['>', 'A', 1002, 5002], state: 'TIME_WAIT' },
    { packet: ['>', 'S', 90_000, 0], state: 'SYN_SENT', timeoutS: 120 },
    { packet: ['<', 'SA', 70_000, 90_001], state: 'SYN_RECV' },
  ],
  'after a SYN we did not believe, the SYN,ACK brings us back in step': [
    ...OPEN,
    { packet: ['>', 'S', 2_000_000, 0], state: 'ESTABLISHED' },
    { packet: ['<', 'SA', 3_000_000, 2_000_001], state: 'SYN_RECV' },
    { packet: ['>', 'A', 2_000_001, 3_000_001], state: 'ESTABLISHED' },
  ],
  'a challenge ACK in LAST_ACK is not the last ACK': [
    ...OPEN,
    { packet: ['>', 'FA', 1001, 5001] },
    { packet: ['<', 'FA', 5001, 1002], state: 'LAST_ACK' },
    { packet: ['>', 'S', 800_000, 0], state: 'LAST_ACK' },
    { packet: ['<', 'A', 5002, 1002], state: 'LAST_ACK' },
  ],
  'a reset near, not at, the right number leaves an established connection open': [
    ...OPEN,
    { packet: ['>', 'PA', 1001, 5001, 10] },
    { packet: ['<', 'A', 5001, 1011] },
    { packet: ['<', 'R', 5100, 0], state: 'ESTABLISHED', timeoutS: 10 },
  ],
  'simultaneous open': [
    { packet: ['>', 'S', 1000, 0], state: 'SYN_SENT' },
    { packet: ['<', 'S', 5000, 0], state: 'SYN_SENT2' },
    { packet: ['>', 'SA', 1000, 5001], state: 'SYN_RECV' },
    { packet: ['<', 'SA', 5000, 1001], state: 'SYN_RECV' },
    { packet: ['<', 'A', 5001, 1001], state: 'ESTABLISHED' },
  ],
};

for (const [name, steps] of Object.entries(scripts)) onNode(t, name, (t, lab) => play(t, lab, steps));

onNode(t, 'assured once the handshake is through, and listed as conntrack -L does', (t, lab) => {
  play(t, lab, OPEN.slice(0, 2));
  t.match(
    lab.netlink.conntrack()[0]!.text,
    /^tcp {6}6 60 SYN_RECV src=10\.244\.0\.5 dst=10\.244\.0\.6 sport=4000 dport=80 src=10\.244\.0\.6/,
  );
  t.equal(lab.netlink.conntrack()[0]!.status & IPS_ASSURED, 0);
  play(t, lab, OPEN.slice(2));
  t.not(lab.netlink.conntrack()[0]!.status & IPS_ASSURED, 0);
  t.match(lab.netlink.conntrack()[0]!.text, /\[ASSURED\] mark=0 use=1$/);
});
