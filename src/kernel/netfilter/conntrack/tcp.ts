// TCP seen from the middle, after net/netfilter/nf_conntrack_proto_tcp.c (v6.6): the state table, the window check of van
// Rooij's "Real Stateful TCP Packet Filtering in IP Filter", and the timeouts. The emulation works on the columns of
// Conntrack; seen[dir] is five words of tcpWords, what the last packet left is four more.
//
//   seen[dir]:  END highest sequence sent   MAXEND highest the receiver allows   MAXWIN largest window it offered
//               MAXACK highest acknowledged FLAGS TCP_CT_F_* | window scale << 8
//
// Sysctls fixed at their defaults: tcp_loose 1, tcp_be_liberal 0 (kube-proxy leaves it), tcp_max_retrans 3,
// tcp_ignore_invalid_rst 0. Leaves out: sequence adjustment (no helpers here change payloads), SYN proxy, MD5.
// Sequence numbers are 32-bit and compared as signed differences.
import type { Skb } from '../../../tcpip-ts/skb.ts';
import { get16, get32, word } from '../../../tcpip-ts/wire/bytes.ts';
import { TCP_ACK, TCP_FIN, TCP_RST, TCP_SYN, tcpHlen } from '../../../tcpip-ts/wire/tcp.ts';
import { type Conntrack, TCP_CT_WORDS } from './conntrack.ts';
import {
  ctinfoDirection,
  type Direction,
  IP_CT_DIR_ORIGINAL,
  IP_CT_DIR_REPLY,
  IPS_ASSURED,
  IPS_SEEN_REPLY,
} from './ctinfo.ts';
import type { Timeouts } from './timeouts.ts';

// enum tcp_conntrack, in its order; NEXT_STATE below has the same numbers under short names.
const TCP_CONNTRACK_NONE = 0;
const TCP_CONNTRACK_SYN_SENT = 1;
const TCP_CONNTRACK_SYN_RECV = 2;
const TCP_CONNTRACK_ESTABLISHED = 3;
const TCP_CONNTRACK_FIN_WAIT = 4;
const TCP_CONNTRACK_LAST_ACK = 6;
const TCP_CONNTRACK_TIME_WAIT = 7;
const TCP_CONNTRACK_CLOSE = 8;
const TCP_CONNTRACK_SYN_SENT2 = 9;
const STATES = 10;
/** Truly invalid. */
const IV = 10;
/** May be either; the receiver's answer will tell. */
const IG = 11;

// Rows: the flag that counts.
const SYN_SET = 0;
const SYNACK_SET = 1;
const FIN_SET = 2;
const ACK_SET = 3;
const RST_SET = 4;
const NONE_SET = 5;
const ROWS = 6;

const [, SS, SR, ES, FW, CW, LA, TW, CL, S2] = [0, 1, 2, 3, 4, 5, 6, 7, 8, 9];
// biome-ignore format: a table
const NEXT_STATE = Uint8Array.of(
  // original direction: from NO SS SR ES FW CW LA TW CL S2
  /* SYN */     SS, SS, IG, IG, IG, IG, IG, SS, SS, S2,
  /* SYN,ACK */ IV, IV, SR, IV, IV, IV, IV, IV, IV, SR,
  /* FIN */     IV, IV, FW, FW, LA, LA, LA, TW, CL, IV,
  /* ACK */     ES, IV, ES, ES, CW, CW, TW, TW, CL, IV,
  /* RST */     IV, CL, CL, CL, CL, CL, CL, CL, CL, CL,
  /* none */    IV, IV, IV, IV, IV, IV, IV, IV, IV, IV,
  // reply direction
  /* SYN */     IV, S2, IV, IV, IV, IV, IV, SS, IV, S2,
  /* SYN,ACK */ IV, SR, IG, IG, IG, IG, IG, IG, IG, SR,
  /* FIN */     IV, IV, FW, FW, LA, LA, LA, TW, CL, IV,
  /* ACK */     IV, IG, SR, ES, CW, CW, TW, TW, CL, IG,
  /* RST */     IV, CL, CL, CL, CL, CL, CL, CL, CL, CL,
  /* none */    IV, IV, IV, IV, IV, IV, IV, IV, IV, IV,
);

const TIMEOUT_OF_STATE: readonly (keyof Timeouts)[] = [
  'tcpClose', // NONE is never left standing
  'tcpSynSent',
  'tcpSynRecv',
  'tcpEstablished',
  'tcpFinWait',
  'tcpCloseWait',
  'tcpLastAck',
  'tcpTimeWait',
  'tcpClose',
  'tcpSynSent', // SYN_SENT2
];

// Words of a connection.
const SEEN = 5; // words of seen[dir]
const END = 0;
const MAXEND = 1;
const MAXWIN = 2;
const MAXACK = 3;
const FLAGS = 4;
const LAST_SEQ = 10;
const LAST_ACK_SEQ = 11;
const LAST_END = 12;
const LAST_WIN = 13;

// Flags of seen[dir] and of tcpLastFlags, after IP_CT_TCP_FLAG_*.
const F_WINDOW_SCALE = 0x01;
const F_SACK_PERM = 0x02;
const F_CLOSE_INIT = 0x04;
const F_BE_LIBERAL = 0x08;
const F_DATA_UNACKNOWLEDGED = 0x10;
const F_MAXACK_SET = 0x20;
const F_EXP_CHALLENGE_ACK = 0x40;
const F_SIMULTANEOUS_OPEN = 0x80;

const MAX_ACK_WINDOW = 66000;
const MAX_RETRANS = 3;

/** What becomes of the packet. */
export const CT_ACCEPT = 0;
/** It is no part of the connection: let it pass without one. */
export const CT_INVALID = 1;
/** The old connection is gone, look again. */
export const CT_REPEAT = 2;
export const CT_DROP = 3;

const WINDOW_ACCEPT = 0;
const WINDOW_IGNORE = 1;
const WINDOW_INVALID = 2;

// Options of the packet at hand; module state stands for out-parameters, one packet is looked at at a time.
let optionScale = 0;
let optionFlags = 0;

/** Whether the flags make sense together (tcp_valid_flags). Looks only at the low six and ignores PSH. */
export function areTcpFlagsValid(flags: number): boolean {
  switch (flags & 0x37) {
    case TCP_SYN:
    case TCP_SYN | 0x20: // URG
    case TCP_SYN | TCP_ACK:
    case TCP_RST:
    case TCP_RST | TCP_ACK:
    case TCP_FIN | TCP_ACK:
    case TCP_FIN | TCP_ACK | 0x20:
    case TCP_ACK:
    case TCP_ACK | 0x20:
      return true;
    default:
      return false;
  }
}

/** Prepares an unconfirmed connection from its first packet; false: not something a connection starts with. */
export function tcpNew(t: Conntrack, ct: number, skb: Skb): boolean {
  const b = skb.bytes;
  const row = rowOf(b[skb.th + 13]!);
  const state = NEXT_STATE[row * STATES + TCP_CONNTRACK_NONE]!;
  if (state >= IV) return false;
  const w = t.tcpWords;
  const sender = ct * TCP_CT_WORDS;
  const win = get16(b, skb.th + 14) || 1;
  const end = endOf(skb);
  w[sender + END] = end;
  w[sender + MAXWIN] = win;
  if (state === TCP_CONNTRACK_SYN_SENT) {
    w[sender + MAXEND] = end;
    parseOptions(skb);
    w[sender + FLAGS] = optionFlags | (optionScale << 8);
  } else {
    // Picked up in the middle: assume SACK, and scaling we did not see.
    w[sender + MAXEND] = end + win;
    w[sender + FLAGS] = F_SACK_PERM | F_BE_LIBERAL;
    w[sender + SEEN + FLAGS] = F_SACK_PERM | F_BE_LIBERAL;
  }
  t.tcpLastIndex[ct] = NONE_SET;
  return true;
}

/** A sound TCP packet of a connection (its first one included); returns CT_*. */
export function tcpPacket(t: Conntrack, ct: number, skb: Skb, ctinfo: number): number {
  const b = skb.bytes;
  const { th } = skb;
  const w = t.tcpWords;
  const base = ct * TCP_CT_WORDS;
  const flags = b[th + 13]!;
  const dir = ctinfoDirection(ctinfo);
  const index = rowOf(flags);
  let oldState = t.tcpState[ct]!;
  let newState = NEXT_STATE[(dir * ROWS + index) * STATES + oldState]!;
  const sender = base + dir * SEEN;
  const receiver = base + (1 - dir) * SEEN;
  let checkWindow = true;

  if (newState === TCP_CONNTRACK_SYN_SENT && oldState >= TCP_CONNTRACK_TIME_WAIT) {
    const closed = ((w[sender + FLAGS]! | w[receiver + FLAGS]!) & F_CLOSE_INIT) !== 0;
    if (closed || (t.tcpLastDir[ct] === dir && t.tcpLastIndex[ct] === RST_SET)) {
      t.delete(ct); // reopened, or aborted by the client and begun anew
      return CT_REPEAT;
    }
    newState = IG;
  }
  switch (newState) {
    case IG:
      if (!isSynAckOfIgnoredSyn(t, ct, skb, dir, index)) {
        annotateIgnored(t, ct, skb, dir, index, oldState);
        return CT_ACCEPT;
      }
      oldState = TCP_CONNTRACK_SYN_SENT;
      newState = TCP_CONNTRACK_SYN_RECV;
      resyncFromIgnored(t, ct, dir);
      break;
    case IV:
      return CT_INVALID;
    case TCP_CONNTRACK_TIME_WAIT:
      // An ACK that answers a stray SYN (RFC 5961 4) does not acknowledge the last FIN.
      if (
        oldState === TCP_CONNTRACK_LAST_ACK &&
        index === ACK_SET &&
        t.tcpLastDir[ct] !== dir &&
        t.tcpLastIndex[ct] === SYN_SET &&
        (t.tcpLastFlags[ct]! & F_EXP_CHALLENGE_ACK) !== 0
      ) {
        t.tcpLastFlags[ct]! &= ~F_EXP_CHALLENGE_ACK;
        return CT_ACCEPT;
      }
      break;
    case TCP_CONNTRACK_SYN_SENT2:
      t.tcpLastFlags[ct]! |= F_SIMULTANEOUS_OPEN;
      break;
    case TCP_CONNTRACK_SYN_RECV:
      if (dir === IP_CT_DIR_REPLY && index === ACK_SET && (t.tcpLastFlags[ct]! & F_SIMULTANEOUS_OPEN) !== 0) {
        newState = TCP_CONNTRACK_ESTABLISHED;
      }
      break;
    case TCP_CONNTRACK_CLOSE:
      if (index !== RST_SET) break;
      // When it is closing already, the numbers may be those of a connection before: they are not asked.
      if (isClosing(oldState)) {
        checkWindow = false;
        break;
      }
      newState = resetState(t, ct, skb, dir, oldState);
      if (newState === IV) return CT_INVALID;
      checkWindow = !isResetOfIgnored(t, ct, skb, oldState);
      break;
  }
  if (checkWindow) {
    switch (checkInWindow(t, ct, skb, dir, index, oldState)) {
      case WINDOW_IGNORE:
        return CT_ACCEPT;
      case WINDOW_INVALID:
        handleInvalid(t, ct, dir, index);
        return CT_INVALID;
    }
  }
  t.tcpLastIndex[ct] = index;
  t.tcpLastDir[ct] = dir;
  t.tcpState[ct] = newState;
  if (oldState !== newState && newState === TCP_CONNTRACK_FIN_WAIT) w[sender + FLAGS]! |= F_CLOSE_INIT;
  return refresh(t, ct, index, oldState, newState, flags);
}

/** tcp_can_early_drop(): from FIN_WAIT to CLOSE. */
function isClosing(state: number): boolean {
  return state >= TCP_CONNTRACK_FIN_WAIT && state <= TCP_CONNTRACK_CLOSE;
}

function refresh(t: Conntrack, ct: number, index: number, oldState: number, newState: number, flags: number): number {
  const { timeouts } = t;
  const base = ct * TCP_CT_WORDS;
  const unacked = ((t.tcpWords[base + FLAGS]! | t.tcpWords[base + SEEN + FLAGS]!) & F_DATA_UNACKNOWLEDGED) !== 0;
  let timeoutS = timeouts[TIMEOUT_OF_STATE[newState]!];
  if (t.tcpRetrans[ct]! >= MAX_RETRANS && timeoutS > timeouts.tcpMaxRetrans) timeoutS = timeouts.tcpMaxRetrans;
  else if (index === RST_SET) timeoutS = timeouts.tcpClose;
  else if (unacked && timeoutS > timeouts.tcpUnacknowledged) timeoutS = timeouts.tcpUnacknowledged;
  else if (t.tcpWords[base + LAST_WIN] === 0 && timeoutS > timeouts.tcpMaxRetrans) timeoutS = timeouts.tcpMaxRetrans;

  if ((t.status[ct]! & IPS_SEEN_REPLY) === 0) {
    if ((flags & TCP_RST) !== 0) {
      t.delete(ct); // the only answer is a reset: there was no connection
      return CT_ACCEPT;
    }
    // A repeated SYN does not renew the timeout, or a reused port could keep a NAT mapping for ever.
    if (index === SYN_SET && oldState === TCP_CONNTRACK_SYN_SENT) return CT_ACCEPT;
    if (newState === TCP_CONNTRACK_ESTABLISHED && timeoutS > timeouts.tcpUnacknowledged)
      timeoutS = timeouts.tcpUnacknowledged;
  } else if (
    (t.status[ct]! & IPS_ASSURED) === 0 &&
    (oldState === TCP_CONNTRACK_SYN_RECV || oldState === TCP_CONNTRACK_ESTABLISHED) &&
    newState === TCP_CONNTRACK_ESTABLISHED
  ) {
    t.status[ct]! |= IPS_ASSURED;
  }
  t.refresh(ct, timeoutS * 1e6);
  return CT_ACCEPT;
}

/** A SYN,ACK that acknowledges a SYN we let pass as a stranger: the two ends agree, and we were wrong. */
function isSynAckOfIgnoredSyn(t: Conntrack, ct: number, skb: Skb, dir: Direction, index: number): boolean {
  return (
    index === SYNACK_SET &&
    t.tcpLastIndex[ct] === SYN_SET &&
    t.tcpLastDir[ct] !== dir &&
    get32(skb.bytes, skb.th + 8) === t.tcpWords[ct * TCP_CT_WORDS + LAST_END]
  );
}

function resyncFromIgnored(t: Conntrack, ct: number, dir: Direction): void {
  const w = t.tcpWords;
  const base = ct * TCP_CT_WORDS;
  const client = base + t.tcpLastDir[ct]! * SEEN;
  w[client + END] = w[base + LAST_END]!;
  w[client + MAXEND] = w[base + LAST_END]!;
  w[client + MAXWIN] = w[base + LAST_WIN]! || 1;
  t.tcpLastFlags[ct]! &= ~F_EXP_CHALLENGE_ACK;
  w[client + FLAGS] = t.tcpLastFlags[ct]! | (t.tcpLastWscale[ct]! << 8);
  for (let i = base + dir * SEEN; i < base + (dir + 1) * SEEN; i++) w[i] = 0;
}

function annotateIgnored(t: Conntrack, ct: number, skb: Skb, dir: Direction, index: number, oldState: number): void {
  const b = skb.bytes;
  const w = t.tcpWords;
  const base = ct * TCP_CT_WORDS;
  t.tcpLastIndex[ct] = index;
  t.tcpLastDir[ct] = dir;
  w[base + LAST_SEQ] = get32(b, skb.th + 4);
  w[base + LAST_END] = endOf(skb);
  w[base + LAST_WIN] = get16(b, skb.th + 14);
  if (index === SYN_SET && dir === IP_CT_DIR_ORIGINAL) {
    parseOptions(skb);
    t.tcpLastFlags[ct] =
      (optionFlags & (F_WINDOW_SCALE | F_SACK_PERM)) | (oldState === TCP_CONNTRACK_LAST_ACK ? F_EXP_CHALLENGE_ACK : 0);
    t.tcpLastWscale[ct] = optionScale;
  }
  if (oldState === TCP_CONNTRACK_SYN_SENT && index === ACK_SET && dir === IP_CT_DIR_REPLY)
    w[base + LAST_ACK_SEQ] = get32(b, skb.th + 8);
}

/** The state a RST leads to: CLOSE, the old one when its sequence number is only near (RFC 5961 3), IV when it is old. */
function resetState(t: Conntrack, ct: number, skb: Skb, dir: Direction, oldState: number): number {
  const w = t.tcpWords;
  const base = ct * TCP_CT_WORDS;
  const receiver = base + (1 - dir) * SEEN;
  if ((w[receiver + FLAGS]! & F_MAXACK_SET) === 0 || t.tcpLastIndex[ct] === SYN_SET) return TCP_CONNTRACK_CLOSE;
  const seq = get32(skb.bytes, skb.th + 4);
  const established = oldState === TCP_CONNTRACK_ESTABLISHED && (t.status[ct]! & IPS_ASSURED) !== 0;
  if (seq === 0 && !established) return TCP_CONNTRACK_CLOSE;
  if (before(seq, w[receiver + MAXACK]!)) return IV;
  if (!established || seq === w[receiver + MAXACK]) return TCP_CONNTRACK_CLOSE;
  if (t.tcpLastIndex[ct] === ACK_SET && t.tcpLastDir[ct] === dir && seq === w[base + LAST_END])
    return TCP_CONNTRACK_CLOSE;
  return oldState;
}

/** A RST that answers a SYN or ACK we had let pass as a stranger: its numbers are not ours to check. */
function isResetOfIgnored(t: Conntrack, ct: number, skb: Skb, oldState: number): boolean {
  const base = ct * TCP_CT_WORDS;
  const last = t.tcpLastIndex[ct]!;
  const answersIgnored =
    ((t.status[ct]! & IPS_SEEN_REPLY) !== 0 && last === SYN_SET) ||
    ((t.status[ct]! & IPS_ASSURED) === 0 && last === ACK_SET);
  if (answersIgnored && get32(skb.bytes, skb.th + 8) === t.tcpWords[base + LAST_END]) return true;
  return (
    oldState === TCP_CONNTRACK_SYN_SENT &&
    last === ACK_SET &&
    t.tcpLastDir[ct] === IP_CT_DIR_REPLY &&
    get32(skb.bytes, skb.th + 4) === t.tcpWords[base + LAST_ACK_SEQ]
  );
}

/** FIN or RST both ways that we think invalid: let the entry die soon instead of in days. */
function handleInvalid(t: Conntrack, ct: number, dir: Direction, index: number): void {
  if ((t.status[ct]! & IPS_ASSURED) === 0 || (index !== RST_SET && index !== FIN_SET)) return;
  const last = t.tcpLastIndex[ct]!;
  if (t.tcpLastDir[ct] !== dir && (last === FIN_SET || last === RST_SET))
    t.shorten(ct, t.timeouts.tcpUnacknowledged * 1e6);
  else {
    t.tcpLastIndex[ct] = index;
    t.tcpLastDir[ct] = dir;
  }
}

function checkInWindow(t: Conntrack, ct: number, skb: Skb, dir: Direction, index: number, state: number): number {
  const b = skb.bytes;
  const { th } = skb;
  const w = t.tcpWords;
  const base = ct * TCP_CT_WORDS;
  const sender = base + dir * SEEN;
  const receiver = base + (1 - dir) * SEEN;
  const flags = b[th + 13]!;
  const isSyn = (flags & TCP_SYN) !== 0;
  const isAck = (flags & TCP_ACK) !== 0;
  let seq = word(b, th + 4);
  let ack = word(b, th + 8);
  let sack = ack;
  const winRaw = get16(b, th + 14);
  let win = winRaw;
  let end = endOf(skb);
  if ((w[receiver + FLAGS]! & F_SACK_PERM) !== 0) sack = highestSack(skb, ack);

  if (w[sender + MAXWIN] === 0) {
    if (isSyn) {
      initSender(w, sender, receiver, skb, end, win);
      if (!isAck) return WINDOW_ACCEPT; // simultaneous open
    } else {
      w[sender + END] = end;
      const swin = win << scaleOf(w, sender);
      w[sender + MAXWIN] = swin === 0 ? 1 : swin;
      w[sender + MAXEND] = end + w[sender + MAXWIN]!;
      if (w[receiver + MAXWIN] === 0) {
        w[receiver + END] = sack;
        w[receiver + MAXEND] = sack;
      } else if (sack === ((w[receiver + END]! + 1) | 0)) {
        w[receiver + END]!++; // probably the answer to a keepalive
      }
    }
  } else if (
    isSyn &&
    after(end, w[sender + END]!) &&
    (state === TCP_CONNTRACK_SYN_SENT || state === TCP_CONNTRACK_SYN_RECV)
  ) {
    initSender(w, sender, receiver, skb, end, win);
    if (dir === IP_CT_DIR_REPLY && !isAck) return WINDOW_ACCEPT;
  }
  // No ACK, or a RST with ACK and a zero number from a broken stack: as if it acknowledged all there is.
  if (!isAck || ((flags & TCP_RST) !== 0 && ack === 0)) {
    ack = w[receiver + END]! | 0;
    sack = ack;
  }
  if ((flags & TCP_RST) !== 0 && seq === 0 && state === TCP_CONNTRACK_SYN_SENT) {
    seq = w[sender + END]! | 0; // RST that answers a SYN
    end = seq;
  }
  const liberal = (w[sender + FLAGS]! & F_BE_LIBERAL) !== 0;
  const maxAckWindow = Math.max(w[sender + MAXWIN]!, MAX_ACK_WINDOW);
  const receiverEnd = w[receiver + END]! | 0;
  const inReceiveWindow = w[receiver + MAXWIN] === 0 || after(end, (w[sender + END]! - w[receiver + MAXWIN]! - 1) | 0);
  const ackNotLow = after(sack, (receiverEnd - maxAckWindow - 1) | 0);
  const ackNotHigh = before(sack, (receiverEnd + 1) | 0);
  if (!before(seq, (w[sender + MAXEND]! + 1) | 0)) {
    // Over the upper bound. A sender may overshoot a little; if so, remember its end, or its ACK would look wrong as well.
    const overshot = (end - w[sender + MAXEND]! + 1) >>> 0;
    if (w[receiver + MAXWIN]! > 0 && inReceiveWindow && ackNotLow && overshot <= w[receiver + MAXWIN]! && ackNotHigh) {
      w[sender + END] = end;
      w[sender + FLAGS]! |= F_DATA_UNACKNOWLEDGED;
      return WINDOW_IGNORE;
    }
    return liberal ? WINDOW_ACCEPT : WINDOW_INVALID;
  }
  if (!inReceiveWindow) return liberal ? WINDOW_ACCEPT : WINDOW_IGNORE; // data that is acknowledged already
  if (!ackNotHigh) return liberal ? WINDOW_ACCEPT : WINDOW_INVALID; // acknowledges data not seen
  if (!ackNotLow) return liberal ? WINDOW_ACCEPT : WINDOW_IGNORE; // long delayed

  if (!isSyn) win = win << scaleOf(w, sender);
  const swin = (win + (sack - ack)) >>> 0;
  if (w[sender + MAXWIN]! < swin) w[sender + MAXWIN] = swin;
  if (after(end, w[sender + END]!)) {
    w[sender + END] = end;
    w[sender + FLAGS]! |= F_DATA_UNACKNOWLEDGED;
  }
  if (isAck && ((w[sender + FLAGS]! & F_MAXACK_SET) === 0 || after(ack, w[sender + MAXACK]!))) {
    w[sender + MAXACK] = ack;
    w[sender + FLAGS]! |= F_MAXACK_SET;
  }
  if (w[receiver + MAXWIN] !== 0 && after(end, w[sender + MAXEND]!))
    w[receiver + MAXWIN]! += (end - w[sender + MAXEND]!) >>> 0;
  if (after((sack + win) | 0, (w[receiver + MAXEND]! - 1) | 0)) w[receiver + MAXEND] = sack + win + (win === 0 ? 1 : 0);
  if (ack === (w[receiver + END]! | 0)) w[receiver + FLAGS]! &= ~F_DATA_UNACKNOWLEDGED;
  if (index === ACK_SET) countRetrans(t, ct, dir, seq, ack, end, winRaw);
  return WINDOW_ACCEPT;
}

function countRetrans(
  t: Conntrack,
  ct: number,
  dir: Direction,
  seq: number,
  ack: number,
  end: number,
  win: number,
): void {
  const w = t.tcpWords;
  const base = ct * TCP_CT_WORDS;
  if (
    t.tcpLastDir[ct] === dir &&
    (w[base + LAST_SEQ]! | 0) === seq &&
    (w[base + LAST_ACK_SEQ]! | 0) === ack &&
    (w[base + LAST_END]! | 0) === end &&
    w[base + LAST_WIN] === win
  ) {
    if (t.tcpRetrans[ct]! < 255) t.tcpRetrans[ct]!++;
    return;
  }
  t.tcpLastDir[ct] = dir;
  w[base + LAST_SEQ] = seq;
  w[base + LAST_ACK_SEQ] = ack;
  w[base + LAST_END] = end;
  w[base + LAST_WIN] = win;
  t.tcpRetrans[ct] = 0;
}

function initSender(w: Uint32Array, sender: number, receiver: number, skb: Skb, end: number, win: number): void {
  w[sender + END] = end;
  w[sender + MAXEND] = end;
  w[sender + MAXWIN] = win === 0 ? 1 : win;
  parseOptions(skb);
  w[sender + FLAGS] = optionFlags | (optionScale << 8);
  // Scaling counts only when both ends offer it (RFC 7323 2.2).
  if ((w[sender + FLAGS]! & F_WINDOW_SCALE) === 0 || (w[receiver + FLAGS]! & F_WINDOW_SCALE) === 0) {
    w[sender + FLAGS]! &= 0xff;
    w[receiver + FLAGS]! &= 0xff;
  }
}

function scaleOf(w: Uint32Array, seen: number): number {
  return w[seen + FLAGS]! >>> 8;
}

/** Window scale and SACK permitted of a SYN, into optionScale and optionFlags. */
function parseOptions(skb: Skb): void {
  optionScale = 0;
  optionFlags = 0;
  const b = skb.bytes;
  const to = skb.th + tcpHlen(b, skb.th);
  for (let o = skb.th + 20; o < to; ) {
    const kind = b[o]!;
    if (kind === 0) return;
    if (kind === 1) {
      o++;
      continue;
    }
    const length = b[o + 1]!;
    if (length < 2 || o + length > to) return;
    if (kind === 4 && length === 2) optionFlags |= F_SACK_PERM;
    else if (kind === 3 && length === 3) {
      optionScale = Math.min(14, b[o + 2]!);
      optionFlags |= F_WINDOW_SCALE;
    }
    o += length;
  }
}

/** The highest right edge of the packet's SACK blocks, `ack` without any. */
function highestSack(skb: Skb, ack: number): number {
  const b = skb.bytes;
  const to = skb.th + tcpHlen(b, skb.th);
  // The usual case: no options, or padded timestamps alone.
  if (to === skb.th + 20 || (to === skb.th + 32 && word(b, skb.th + 20) === 0x0101080a)) return ack;
  let highest = ack;
  for (let o = skb.th + 20; o < to; ) {
    const kind = b[o]!;
    if (kind === 0) break;
    if (kind === 1) {
      o++;
      continue;
    }
    const length = b[o + 1]!;
    if (length < 2 || o + length > to) break;
    if (kind === 5 && length >= 10 && (length - 2) % 8 === 0) {
      for (let block = o + 2; block < o + length; block += 8) {
        const right = word(b, block + 4);
        if (after(right, highest)) highest = right;
      }
      break;
    }
    o += length;
  }
  return highest;
}

/** Sequence number after the packet, as a signed word: its data, SYN and FIN. */
function endOf(skb: Skb): number {
  const b = skb.bytes;
  const flags = b[skb.th + 13]!;
  const data = skb.tail - skb.th - tcpHlen(b, skb.th);
  return (word(b, skb.th + 4) + data + ((flags & TCP_SYN) !== 0 ? 1 : 0) + ((flags & TCP_FIN) !== 0 ? 1 : 0)) | 0;
}

function rowOf(flags: number): number {
  if ((flags & TCP_RST) !== 0) return RST_SET;
  if ((flags & TCP_SYN) !== 0) return (flags & TCP_ACK) !== 0 ? SYNACK_SET : SYN_SET;
  if ((flags & TCP_FIN) !== 0) return FIN_SET;
  return (flags & TCP_ACK) !== 0 ? ACK_SET : NONE_SET;
}

function before(a: number, b: number): boolean {
  return ((a - b) | 0) < 0;
}

function after(a: number, b: number): boolean {
  return ((b - a) | 0) < 0;
}
