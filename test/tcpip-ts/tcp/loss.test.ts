import t from 'tap';
import { CONNECTED, dialogue } from '../../support/tcp-script.ts';

/** An established connection with SACK and an RTT of 100 ms; MSS 1000. */
const SACKED = `
  connect
  > S 0:0
  +100ms < S. 0:0 ack 1 win 65535 <mss 1000,sackOK>
  > . 1:1 ack 1
`;
const PLAIN = SACKED.replace(',sackOK', '');

t.test('retransmission timeout (RFC 6298)', async (t) => {
  t.test('doubles each time', async (t) => {
    // srtt 100 ms, and at least 200 ms for the variance: 300 ms
    dialogue(
      t,
      `${PLAIN}
       write 1000
       > P. 1:1001 ack 1
       +299ms
       +1ms > P. 1:1001 ack 1
       +600ms > P. 1:1001 ack 1
       +1200ms > P. 1:1001 ack 1
       count TcpExtTCPTimeouts 3
       count TcpRetransSegs 3
       < . 1:1 ack 1001
       +10m`,
    );
  });
  t.test('starts again with each acknowledgment of new data', async (t) => {
    dialogue(
      t,
      `${PLAIN}
       write 2000
       > . 1:1001 ack 1
       > P. 1001:2001 ack 1
       +100ms < . 1:1 ack 1001
       +299ms
       +1ms > P. 1001:2001 ack 1
       < . 1:1 ack 2001`,
    );
  });
  t.test('a retransmitted segment gives no sample without timestamps (Karn): the backoff stays', async (t) => {
    dialogue(
      t,
      `${PLAIN}
       write 1000
       > P. 1:1001 ack 1
       +300ms > P. 1:1001 ack 1
       +100ms < . 1:1 ack 1001
       write 1000
       > P. 1001:2001 ack 1
       +599ms
       +1ms > P. 1001:2001 ack 1
       < . 1:1 ack 2001`,
    );
  });
  t.test('with timestamps it does', async (t) => {
    dialogue(
      t,
      `connect
       > S 0:0
       +100ms < S. 0:0 ack 1 win 65535 <mss 1012,TS val 1 ecr last>
       > . 1:1 ack 1
       write 1000
       > P. 1:1001 ack 1
       +300ms > P. 1:1001 ack 1
       +100ms < . 1:1 ack 1001 <TS val 2 ecr last>
       write 1000
       > P. 1001:2001 ack 1
       +299ms
       +10ms > P. 1001:2001 ack 1
       < . 1:1 ack 2001 <TS val 3 ecr last>`,
      { tcp: { timestamps: true } },
    );
  });
  t.test('after a timeout one segment goes, then slow start', async (t) => {
    dialogue(
      t,
      `${PLAIN}
       write 4000
       drain 4
       +300ms > . 1:1001 ack 1
       cwnd 1000
       ssthresh 5000
       +100ms < . 1:1 ack 1001
       > . 1001:2001 ack 1
       > . 2001:3001 ack 1
       cwnd 2000
       +100ms < . 1:1 ack 3001
       > P. 3001:4001 ack 1
       cwnd 4000
       +100ms < . 1:1 ack 4001`,
    );
  });
  t.test('gives up after 15 timeouts’ time', async (t) => {
    const d = dialogue(t, `${CONNECTED}\nwrite 10\n> P. 1:11 ack 1`);
    d.clock.advance(900e6);
    d.run('drain\nclosed no');
    d.clock.advance(200e6);
    d.run('drain\nclosed ETIMEDOUT\ncount TcpExtTCPAbortOnTimeout 1');
  });
  t.test('a timeout that an old copy’s timestamp disproves is undone (RFC 3522)', async (t) => {
    dialogue(
      t,
      `connect
       > S 0:0
       +100ms < S. 0:0 ack 1 win 65535 <mss 1012,TS val 1 ecr last>
       > . 1:1 ack 1
       +10ms
       write 3000
       drain 3
       +300ms > . 1:1001 ack 1
       cwnd 1000
       // the echo of the first copy: 300 ms older than the retransmission's
       < . 1:1 ack 1001 <TS val 2 ecr last-300>
       state ESTABLISHED
       cwnd 10000
       count TcpExtTCPSpuriousRTOs 1
       < . 1:1 ack 3001 <TS val 3 ecr last>`,
      { tcp: { timestamps: true } },
    );
  });
});

t.test('without SACK (RFC 5681, 6582)', async (t) => {
  t.test('the first two duplicates each send a new segment (limited transmit, RFC 3042)', async (t) => {
    dialogue(
      t,
      `${PLAIN}
       write 20000
       drain 10
       +100ms < . 1:1 ack 1
       > . 10001:11001 ack 1
       < . 1:1 ack 1
       > . 11001:12001 ack 1`,
    );
  });
  t.test('the third resends the first segment and halves the window', async (t) => {
    dialogue(
      t,
      `${PLAIN}
       write 10000
       drain 10
       +100ms < . 1:1 ack 1
       < . 1:1 ack 1
       < . 1:1 ack 1
       > . 1:1001 ack 1
       ssthresh 5000
       count TcpExtTCPRenoRecovery 1
       count TcpExtTCPFastRetrans 1
       +100ms < . 1:1 ack 10001
       cwnd 5000`,
    );
  });
  t.test('a partial acknowledgment resends the next hole', async (t) => {
    dialogue(
      t,
      `${PLAIN}
       write 10000
       drain 10
       +100ms < . 1:1 ack 1
       < . 1:1 ack 1
       < . 1:1 ack 1
       > . 1:1001 ack 1
       +100ms < . 1:1 ack 3001
       > . 3001:4001 ack 1
       +100ms < . 1:1 ack 6001
       > . 6001:7001 ack 1
       +100ms < . 1:1 ack 10001
       count TcpExtTCPTimeouts 0
       count TcpRetransSegs 3`,
    );
  });
  t.test('a changed window or data makes no duplicate', async (t) => {
    dialogue(
      t,
      `${PLAIN}
       write 10000
       drain 10
       +100ms < . 1:1 ack 1 win 60000
       < . 1:1 ack 1 win 61000
       < . 1:1 ack 1 win 62000
       < P. 1:11 ack 1 win 62000
       > . 10001:10001 ack 11`,
    );
  });
});

t.test('with SACK', async (t) => {
  t.test('three segments beyond a hole resend it', async (t) => {
    dialogue(
      t,
      `${SACKED}
       write 10000
       drain 10
       +100ms < . 1:1 ack 1 <sack 1001:2001>
       < . 1:1 ack 1 <sack 1001:3001>
       < . 1:1 ack 1 <sack 1001:4001>
       > . 1:1001 ack 1
       count TcpExtTCPSackRecovery 1
       +100ms < . 1:1 ack 10001
       cwnd 5000`,
    );
  });
  t.test('only the holes are resent', async (t) => {
    dialogue(
      t,
      `${SACKED}
       write 10000
       drain 10
       +100ms < . 1:1 ack 1001 <sack 2001:3001>
       < . 1:1 ack 1001 <sack 4001:5001 2001:3001>
       < . 1:1 ack 1001 <sack 6001:10001 4001:5001 2001:3001>
       > . 1001:2001 ack 1
       > . 3001:4001 ack 1
       > . 5001:6001 ack 1
       +100ms < . 1:1 ack 10001
       count TcpRetransSegs 3
       count TcpExtTCPTimeouts 0`,
    );
  });
  t.test('blocks that do not belong are ignored', async (t) => {
    dialogue(
      t,
      `${SACKED}
       write 3000
       drain 3
       +100ms < . 1:1 ack 1 <sack 50001:60001 900:100>
       count TcpExtTCPSACKDiscard 2
       +1ms < . 1:1 ack 3001`,
    );
  });
  t.test('a lost retransmission is found by time (RACK, RFC 8985)', async (t) => {
    dialogue(
      t,
      `${SACKED}
       write 20000
       drain 10
       +100ms < . 1:1 ack 1 <sack 1001:4001>
       > . 1:1001 ack 1
       < . 1:1 ack 1 <sack 1001:8001>
       drain
       // what was sent after the retransmission arrives, the retransmission does not
       +110ms < . 1:1 ack 1 <sack 10001:11001 1001:10001>
       > . 1:1001 ack 1
       drain
       count TcpExtTCPLostRetransmit 1
       count TcpExtTCPTimeouts 0`,
    );
  });
  t.test('a lost tail is probed after two round trips (TLP)', async (t) => {
    dialogue(
      t,
      `${SACKED}
       write 5000
       drain 5
       +100ms < . 1:1 ack 3001
       // 3001:5001 are lost, and no duplicate will tell
       +201ms
       +1ms > P. 4001:5001 ack 1
       count TcpExtTCPLossProbes 1
       +100ms < . 1:1 ack 3001 <sack 4001:5001>
       > . 3001:4001 ack 1
       +100ms < . 1:1 ack 5001
       count TcpExtTCPTimeouts 0`,
    );
  });
  t.test('a timeout with the first segment sacked means the peer reneged: all is sent again', async (t) => {
    dialogue(
      t,
      `${SACKED}
       write 3000
       drain 3
       +50ms < . 1:1 ack 1 <sack 1001:3001>
       // too few to be sure: a quarter of the round trip for reordering
       +25ms > . 1:1001 ack 1
       +50ms < . 1:1 ack 1001
       +2s
       drain
       count TcpExtTCPSACKReneging 1
       < . 1:1 ack 3001
       +1m`,
    );
  });
});

t.test('timestamps (RFC 7323)', async (t) => {
  const TS = `
    connect
    > S 0:0
    < S. 0:0 ack 1 win 65535 <mss 1012,TS val 1000 ecr last>
    > . 1:1 ack 1 <TS ecr 1000>
  `;
  const tcp = { timestamps: true };
  t.test('what is echoed comes from the segment that last moved the left edge', async (t) => {
    dialogue(
      t,
      `${TS}
       < . 1:1001 ack 1 <TS val 1010 ecr last>
       > . 1:1 ack 1001 <TS ecr 1010>
       < . 2001:3001 ack 1 <TS val 1030 ecr last>
       > . 1:1 ack 1001 <TS ecr 1010>
       < . 1001:2001 ack 1 <TS val 1020 ecr last>
       > . 1:1 ack 3001 <TS ecr 1020>`,
      { tcp },
    );
  });
  t.test('an older timestamp is refused and answered (PAWS)', async (t) => {
    dialogue(
      t,
      `${TS}
       < . 1:1001 ack 1 <TS val 2000 ecr last>
       > . 1:1 ack 1001
       < . 1001:2001 ack 1 <TS val 1999 ecr last>
       > . 1:1 ack 1001 <TS ecr 2000>
       readable 1000
       count TcpExtPAWSEstab 1`,
      { tcp },
    );
  });
  t.test('after 24 days it is believed', async (t) => {
    dialogue(
      t,
      `${TS}
       < . 1:1001 ack 1 <TS val 2000 ecr last>
       > . 1:1 ack 1001
       +577h < . 1001:2001 ack 1 <TS val 1000 ecr last>
       > . 1:1 ack 2001 <TS ecr 1000>`,
      { tcp },
    );
  });
  t.test('RST is not subject to PAWS', async (t) => {
    dialogue(t, `${TS}\n< R 1:1 <TS val 1 ecr 0>\nclosed ECONNRESET`, { tcp });
  });
});

t.test('keepalive (RFC 9293, 3.8.4)', async (t) => {
  t.test('an idle peer is probed; its answer is enough', async (t) => {
    dialogue(
      t,
      `${CONNECTED}
       keepalive 10000 1000
       +9s
       +1s > . 0:0 ack 1
       < . 1:1 ack 1
       +9s
       +1s > . 0:0 ack 1
       count TcpExtTCPKeepAlive 2`,
    );
  });
  t.test('nine probes without answer end it with RST', async (t) => {
    const d = dialogue(t, `${CONNECTED}\nkeepalive 10000 1000\n+10s > . 0:0 ack 1`);
    for (let i = 0; i < 8; i++) d.run('+1s > . 0:0 ack 1');
    d.run('+1s > R. 1:1 ack 1\nclosed ETIMEDOUT');
  });
  t.test('a peer’s probe is answered', async (t) => {
    dialogue(t, `${CONNECTED}\n< . 0:0 ack 1\n> . 1:1 ack 1\n+1s < . 0:1 ack 1\n> . 1:1 ack 1`);
  });
});

t.test('user timeout (RFC 5482)', async (t) => {
  t.test('ends the connection that long after the first timeout', async (t) => {
    const d = dialogue(t, `${CONNECTED}\nusertimeout 5000\nwrite 10\n> P. 1:11 ack 1`);
    d.clock.advance(5e6);
    d.run('drain\nclosed no');
    d.clock.advance(0.5e6);
    d.run('drain\nclosed ETIMEDOUT');
  });
});

t.test('ICMP errors (RFC 5927)', async (t) => {
  t.test('end a connection attempt', async (t) => {
    dialogue(t, 'connect\n> S 0:0\nicmp 3 3\nclosed ECONNREFUSED');
    dialogue(t, 'connect\n> S 0:0\nicmp 3 1\nclosed EHOSTUNREACH');
    dialogue(t, 'connect\n> S 0:0\nicmp 3 0\nclosed ENETUNREACH');
    dialogue(t, 'connect\n> S 0:0\nicmp 11 0\nclosed EHOSTUNREACH');
  });
  t.test('are not believed with a sequence number out of flight', async (t) => {
    dialogue(t, 'connect\n> S 0:0\nicmp 3 3 seq 77\nclosed no\ncount TcpExtOutOfWindowIcmps 1');
  });
  t.test('do not end an established connection, but name the reason of a timeout', async (t) => {
    const d = dialogue(t, `${CONNECTED}\nwrite 10\n> P. 1:11 ack 1\nicmp 3 3 seq 1\nclosed no`);
    d.clock.advance(2000e6);
    d.run('drain\nclosed ECONNREFUSED');
  });
  t.test('too large: the segments go again in smaller pieces (RFC 1191)', async (t) => {
    dialogue(
      t,
      `connect
       > S 0:0
       < S. 0:0 ack 1 win 65535 <mss 1460>
       > . 1:1 ack 1
       write 2920
       > . 1:1461 ack 1
       > P. 1461:2921 ack 1
       icmp 3 4 mtu 1000 seq 1
       > . 1:961 ack 1
       > . 961:1461 ack 1
       > . 1461:2421 ack 1
       > P. 2421:2921 ack 1
       cwnd 14600
       < . 1:1 ack 2921`,
    );
  });
  t.test('a ridiculous MTU is not believed', async (t) => {
    const d = dialogue(t, `${CONNECTED}\nwrite 1000\n> P. 1:1001 ack 1\nicmp 3 4 mtu 68 seq 1\ndrain`);
    t.equal(d.c!.mss, 512);
  });
});
