import t from 'tap';
import { LINK_F_CSUM, LINK_F_TSO4 } from '../../../src/tcpip-ts/link.ts';
import { ACCEPTED, CONNECTED, dialogue } from '../../support/tcp-script.ts';

t.test('receiving', async (t) => {
  t.test('the first segments are acknowledged at once', async (t) => {
    dialogue(
      t,
      `${ACCEPTED}\n< P. 1:101 ack 1\n> . 1:1 ack 101\n< P. 101:201 ack 1\n> . 1:1 ack 201\nreadable 200\nread`,
    );
  });
  t.test('later one segment waits 40 ms for a second', async (t) => {
    const d = dialogue(t, ACCEPTED);
    d.c!.quickacks = 0;
    d.run(`
      < . 1:1001 ack 1
      +39ms
      +1ms > . 1:1 ack 1001
      count TcpExtDelayedACKs 1
      < . 1001:2001 ack 1
      < . 2001:3001 ack 1
      > . 1:1 ack 3001
      +1s`);
  });
  t.test('an answer takes the acknowledgment along', async (t) => {
    const d = dialogue(t, ACCEPTED);
    d.c!.quickacks = 0;
    d.run('< P. 1:101 ack 1\nwrite 50\n> P. 1:51 ack 101\n+100ms');
  });
  t.test('out of order data is acknowledged at once, kept and delivered in order', async (t) => {
    dialogue(
      t,
      `${ACCEPTED}
       < . 1001:2001 ack 1
       > . 1:1 ack 1
       < . 3001:4001 ack 1
       > . 1:1 ack 1
       readable 0
       < . 1:1001 ack 1
       > . 1:1 ack 2001
       < . 2001:3001 ack 1
       > . 1:1 ack 4001
       readable 4000
       read`,
    );
  });
  t.test('overlapping segments give each byte once', async (t) => {
    dialogue(
      t,
      `${ACCEPTED}
       < . 501:1501 ack 1
       > . 1:1 ack 1
       < . 301:901 ack 1
       > . 1:1 ack 1
       < . 1:601 ack 1
       > . 1:1 ack 1501
       < . 1001:2001 ack 1
       > . 1:1 ack 2001
       readable 2000
       read`,
    );
  });
  t.test('a duplicate is acknowledged again', async (t) => {
    dialogue(t, `${ACCEPTED}\n< . 1:1001 ack 1\n> . 1:1 ack 1001\n< . 1:1001 ack 1\n> . 1:1 ack 1001\nreadable 1000`);
  });
  t.test('FIN out of order waits for what is missing', async (t) => {
    dialogue(
      t,
      `${ACCEPTED}
       < F. 1001:1501 ack 1
       > . 1:1 ack 1
       state ESTABLISHED
       < . 1:1001 ack 1
       > . 1:1 ack 1502
       state CLOSE-WAIT
       read
       eof`,
    );
  });
  t.test('sequence numbers wrap', async (t) => {
    dialogue(
      t,
      `${ACCEPTED}
       < . 1:1001 ack 1
       > . 1:1 ack 1001
       < . 2001:3001 ack 1
       > . 1:1 ack 1001
       < . 1001:2001 ack 1
       > . 1:1 ack 3001
       read`,
      { irs: 0xffff_ffff - 1500 },
    );
  });
  t.test('an urgent pointer changes nothing', async (t) => {
    dialogue(t, `${ACCEPTED}\n< PU. 1:101 ack 1\n> . 1:1 ack 101\nreadable 100\nread`.replace('PU.', 'P.'));
  });
  t.test('segments without ACK are dropped', async (t) => {
    dialogue(t, `${ACCEPTED}\n< P 1:101\nreadable 0\n+1s`);
  });
  t.test('a super-segment is taken like its pieces', async (t) => {
    dialogue(t, `${ACCEPTED}\n< P. 1:20001 ack 1 win 65535 gso 1000\n> . 1:1 ack 20001\nread`);
  });
});

t.test('SACK blocks (RFC 2018, 2883)', async (t) => {
  const handshake = `
    listen
    < S 0:0 win 65535 <mss 1000,sackOK>
    > S. 0:0 ack 1 <sackOK>
    < . 1:1 ack 1 win 65535
  `;
  t.test('report what lies beyond the gap, newest first', async (t) => {
    dialogue(
      t,
      `${handshake}
       < . 1001:2001 ack 1
       > . 1:1 ack 1 <sack 1001:2001>
       < . 3001:4001 ack 1
       > . 1:1 ack 1 <sack 3001:4001 1001:2001>
       < . 5001:6001 ack 1
       > . 1:1 ack 1 <sack 5001:6001 3001:4001 1001:2001>
       < . 2001:3001 ack 1
       > . 1:1 ack 1 <sack 1001:4001 5001:6001>
       < . 1:1001 ack 1
       > . 1:1 ack 4001 <sack 5001:6001>
       < . 4001:5001 ack 1
       > . 1:1 ack 6001 <nosack>
       read`,
    );
  });
  t.test('four at most', async (t) => {
    dialogue(
      t,
      `${handshake}
       < . 1001:1101 ack 1
       > . 1:1 ack 1 <sack 1001:1101>
       < . 2001:2101 ack 1
       > . 1:1 ack 1 <sack 2001:2101 1001:1101>
       < . 3001:3101 ack 1
       > . 1:1 ack 1 <sack 3001:3101 2001:2101 1001:1101>
       < . 4001:4101 ack 1
       > . 1:1 ack 1 <sack 4001:4101 3001:3101 2001:2101 1001:1101>
       < . 5001:5101 ack 1
       > . 1:1 ack 1 <sack 5001:5101 4001:4101 3001:3101 2001:2101>`,
    );
  });
  t.test('a duplicate below the acknowledgment is reported first (DSACK)', async (t) => {
    dialogue(
      t,
      `${handshake}
       < . 1:1001 ack 1
       > . 1:1 ack 1001
       < . 501:1001 ack 1
       > . 1:1 ack 1001 <sack 501:1001>
       < P. 1001:1101 ack 1
       > . 1:1 ack 1101 <nosack>`,
    );
  });
  t.test('a duplicate beyond the gap is reported before its range', async (t) => {
    dialogue(
      t,
      `${handshake}
       < . 1001:3001 ack 1
       > . 1:1 ack 1 <sack 1001:3001>
       < . 1501:2001 ack 1
       > . 1:1 ack 1 <sack 1501:2001 1001:3001>`,
    );
  });
  t.test('ranges are bounded', async (t) => {
    const d = dialogue(t, handshake);
    for (let i = 0; i < 300; i++) d.run(`< . ${101 + i * 20}:${111 + i * 20} ack 1\n> . 1:1 ack 1`);
    t.equal(d.c!.rcv.ranges, 256);
    t.equal(d.counters.get('TcpExtTCPOFODrop'), 44);
  });
});

t.test('sending', async (t) => {
  t.test('PSH marks the end of what was written', async (t) => {
    dialogue(t, `${CONNECTED}\nwrite 2500\n> . 1:1001 ack 1\n> . 1001:2001 ack 1\n> P. 2001:2501 ack 1`);
  });
  t.test('the initial window is ten segments (RFC 6928)', async (t) => {
    dialogue(t, `${CONNECTED}\ncwnd 10000\nwrite 20000\ndrain 10`);
  });
  t.test('slow start opens the window by what is acknowledged', async (t) => {
    dialogue(t, `${CONNECTED}\nwrite 40000\ndrain 10\n+10ms < . 1:1 ack 2001\ncwnd 12000\ndrain 4`);
  });
  t.test('Nagle: a small segment waits while a small one is under way', async (t) => {
    dialogue(
      t,
      `${CONNECTED}
       write 10
       > P. 1:11 ack 1
       write 10
       write 10
       +50ms < . 1:1 ack 11
       > P. 11:31 ack 1`,
    );
  });
  t.test('without Nagle it does not', async (t) => {
    dialogue(t, `${CONNECTED}\nnodelay\nwrite 10\n> P. 1:11 ack 1\nwrite 10\n> P. 11:21 ack 1`);
  });
  t.test('turning Nagle off sends what waits', async (t) => {
    dialogue(t, `${CONNECTED}\nwrite 10\n> P. 1:11 ack 1\nwrite 10\nnodelay\n> P. 11:21 ack 1`);
  });
  t.test('the peer’s window is kept to', async (t) => {
    dialogue(
      t,
      `connect
       > S 0:0
       < S. 0:0 ack 1 win 1500 <mss 1000>
       > . 1:1 ack 1
       write 5000
       > . 1:1001 ack 1
       < . 1:1 ack 1001 win 2000
       > . 1001:2001 ack 1
       > . 2001:3001 ack 1`,
    );
  });
  t.test('a small window is not filled with small segments (SWS avoidance)', async (t) => {
    dialogue(
      t,
      `${CONNECTED}
       write 1000
       > P. 1:1001 ack 1
       < . 1:1 ack 1001 win 200
       write 2000
       +200ms
       // the override timer sends what fits
       +1ms > . 1001:1201 ack 1`,
    );
  });
  t.test('a full send buffer says so and tells when there is room', async (t) => {
    dialogue(
      t,
      `${CONNECTED}
       write 100000 65536
       drain
       writable no
       +1ms < . 1:1 ack 10001 win 60000
       drain
       writable no
       +1ms < . 1:1 ack 28001 win 60000
       drain
       writable`,
    );
  });
  t.test('with TSO a super-segment leaves, cut by the link', async (t) => {
    const features = LINK_F_CSUM | LINK_F_TSO4;
    dialogue(
      t,
      `${CONNECTED}
       write 5500
       > P. 1:5501 ack 1 gso 1000
       write 20000
       > . 5501:9501 ack 1 gso 1000
       < . 1:1 ack 9501
       > P. 9501:25501 ack 1 gso 1000`,
      { features },
    );
  });
  t.test('without TSO but with checksum offload the checksum is partial', async (t) => {
    dialogue(t, `${CONNECTED}\nwrite 2000\n> . 1:1001 ack 1\n> P. 1001:2001 ack 1`, { features: LINK_F_CSUM });
  });
});

t.test('windows', async (t) => {
  t.test('an unread buffer closes the window, reading opens it', async (t) => {
    const d = dialogue(t, ACCEPTED, { tcp: { receiveBuffer: 4000, receiveBufferMax: 4000 } });
    d.run(`
      < . 1:1001 ack 1
      > . 1:1 ack 1001 win 3000
      < . 1001:2001 ack 1
      > . 1:1 ack 2001 win 2000
      < . 2001:3001 ack 1
      > . 1:1 ack 3001 win 1000
      < . 3001:4001 ack 1
      > . 1:1 ack 4001 win 0
      // beyond the window: answered, not taken
      < . 4001:5001 ack 1
      > . 1:1 ack 4001 win 0
      read 500
      // not worth a segment yet
      read 1000
      > . 1:1 ack 4001 win 1500
      count TcpExtTCPToZeroWindowAdv 1
      count TcpExtTCPFromZeroWindowAdv 1
      read 2500
      > . 1:1 ack 4001 win 4000`);
  });
  t.test('what sticks out of the window is cut off', async (t) => {
    dialogue(
      t,
      `${ACCEPTED}
       < . 1:1001 ack 1
       > . 1:1 ack 1001 win 500
       < . 1001:2001 ack 1
       > . 1:1 ack 1501 win 0
       readable 1500`,
      { tcp: { receiveBuffer: 1500, receiveBufferMax: 1500 } },
    );
  });
  t.test('the window grows with the reader', async (t) => {
    const d = dialogue(t, ACCEPTED);
    for (let i = 0; i < 400; i++) d.run(`+1ms < P. ${1 + i * 1000}:${1001 + i * 1000} ack 1\ndrain\nread\ndrain`);
    t.equal(d.c!.rcvLimit, 65536, 'not for a slow one');
    for (let i = 400; i < 1400; i++) {
      d.run(`< P. ${1 + i * 1000}:${1001 + i * 1000} ack 1\ndrain\nread\ndrain`);
      if (i % 60 === 0) d.clock.advance(3000);
    }
    t.ok(d.c!.rcvLimit > 100_000, 'for a fast one');
  });
});

t.test('zero window', async (t) => {
  const SHUT = `
    ${CONNECTED}
    write 1000
    > P. 1:1001 ack 1
    +10ms < . 1:1 ack 1001 win 0
    write 500
  `;
  t.test('is probed with growing intervals, and the answer to a probe keeps the connection', async (t) => {
    dialogue(
      t,
      `${SHUT}
       +210ms > . 1000:1000 ack 1
       < . 1:1 ack 1001 win 0
       +420ms > . 1000:1000 ack 1
       < . 1:1 ack 1001 win 0
       +840ms > . 1000:1000 ack 1
       < . 1:1 ack 1001 win 0
       +1680ms > . 1000:1000 ack 1
       < . 1:1 ack 1001 win 4000
       > P. 1001:1501 ack 1
       count TcpExtTCPWinProbe 4`,
    );
  });
  t.test('an opening window is used at once', async (t) => {
    dialogue(t, `${SHUT}\n< . 1:1 ack 1001 win 4000\n> P. 1001:1501 ack 1`);
  });
  t.test('a peer that does not answer probes is given up', async (t) => {
    const d = dialogue(t, SHUT);
    d.clock.advance(1000e6);
    d.run('drain\nclosed ETIMEDOUT');
  });
  t.test('a peer that answers for hours is not', async (t) => {
    const d = dialogue(t, SHUT);
    for (let i = 0; i < 100; i++) {
      d.clock.advance(120e6);
      d.run('drain\n< . 1:1 ack 1001 win 0');
    }
    d.run('state ESTABLISHED');
  });
  t.test('FIN waits for the window too', async (t) => {
    dialogue(t, `${SHUT}\nend\n< . 1:1 ack 1001 win 4000\n> FP. 1001:1501 ack 1`);
  });
});
