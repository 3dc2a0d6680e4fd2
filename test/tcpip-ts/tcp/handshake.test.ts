import t from 'tap';
import { Pair } from '../../support/tcp-pair.ts';
import { ACCEPTED, CONNECTED, dialogue } from '../../support/tcp-script.ts';

t.test('active open', async (t) => {
  t.test('a SYN offers MSS, SACK, timestamps and window scale', async (t) => {
    dialogue(t, 'connect\n> S 0:0 <mss 1460,sackOK,TS ecr 0,wscale 7>', { tcp: { timestamps: true } });
  });
  t.test('SYN-ACK is acknowledged and the application told', async (t) => {
    dialogue(t, CONNECTED);
  });
  t.test('RST to the SYN means refused', async (t) => {
    dialogue(t, 'connect\n> S 0:0\n< R. 0:0 ack 1\nclosed ECONNREFUSED\nstate CLOSED\ncount TcpAttemptFails 1');
  });
  t.test('RST without an acceptable ACK is ignored (RFC 9293, 3.10.7.3)', async (t) => {
    dialogue(t, 'connect\n> S 0:0\n< R 0:0\nclosed no\n< R. 0:0 ack 2\nclosed no\nstate SYN-SENT');
  });
  t.test('an ACK of what was never sent is reset', async (t) => {
    dialogue(t, 'connect\n> S 0:0\n< . 0:0 ack 7\n> R 7:7\nstate SYN-SENT');
  });
  t.test('an unanswered SYN is sent again at 1, 3, 7, 15, 31, 63 s and given up at 127 s', async (t) => {
    dialogue(
      t,
      `connect
       > S 0:0
       +999ms
       +1ms > S 0:0
       +2s > S 0:0
       +4s > S 0:0
       +8s > S 0:0
       +16s > S 0:0
       +32s > S 0:0
       +63s
       closed no
       +1s
       closed ETIMEDOUT
       count TcpExtTCPTimeouts 6
       +200s`,
    );
  });
  t.test('simultaneous open', async (t) => {
    dialogue(
      t,
      `connect
       > S 0:0
       < S 0:0 win 5000 <mss 1000>
       > S. 0:0 ack 1
       state SYN-RECEIVED
       < S. 0:0 ack 1 win 5000
       > . 1:1 ack 1
       state ESTABLISHED
       connected`,
    );
  });
  t.test('simultaneous open completed by a bare ACK', async (t) => {
    dialogue(
      t,
      'connect\n> S 0:0\n< S 0:0 win 5000\n> S. 0:0 ack 1\n< . 1:1 ack 1 win 5000\nstate ESTABLISHED\nconnected',
    );
  });
  t.test('data written before the connection stands follows the handshake', async (t) => {
    dialogue(t, 'connect\n> S 0:0\nwrite 10\n< S. 0:0 ack 1 win 5000 <mss 1000>\n> P. 1:11 ack 1');
  });
  t.test('end before the connection stands sends data and FIN together', async (t) => {
    dialogue(
      t,
      'connect\n> S 0:0\nwrite 10\nend\n< S. 0:0 ack 1 win 5000 <mss 1000>\n> FP. 1:11 ack 1\nstate FIN-WAIT-1',
    );
  });
  t.test('close before the connection stands says nothing', async (t) => {
    dialogue(t, 'connect\n> S 0:0\nclose\nstate CLOSED\n< S. 0:0 ack 1 win 5000\n> R 1:1');
  });
  t.test('data in the SYN-ACK is taken', async (t) => {
    dialogue(t, 'connect\n> S 0:0\n< S. 0:5 ack 1 win 5000\n> . 1:1 ack 6\nreadable 5');
  });
});

t.test('options', async (t) => {
  t.test('without MSS 536 is used (RFC 9293, 3.7.1)', async (t) => {
    dialogue(
      t,
      'connect\n> S 0:0\n< S. 0:0 ack 1 win 5000\n> . 1:1 ack 1\nwrite 600\n> . 1:537 ack 1\n> P. 537:601 ack 1',
    );
  });
  t.test('segments carry timestamps only if both sides offered them', async (t) => {
    const tcp = { timestamps: true };
    dialogue(t, 'connect\n> S 0:0 <TS ecr 0>\n< S. 0:0 ack 1 win 5000 <mss 1000>\n> . 1:1 ack 1 <nots>', { tcp });
    dialogue(
      t,
      `connect
       > S 0:0 <TS ecr 0>
       < S. 0:0 ack 1 win 5000 <mss 1000,TS val 700 ecr last>
       > . 1:1 ack 1 <TS ecr 700>
       write 1000
       // the option takes 12 bytes of the segment (RFC 6691)
       > . 1:989 ack 1 <TS ecr 700>
       > P. 989:1001 ack 1 <TS ecr 700>`,
      { tcp },
    );
  });
  t.test('windows are scaled only if both sides offered it', async (t) => {
    dialogue(
      t,
      'connect\n> S 0:0 win 65535 <wscale 7>\n< S. 0:0 ack 1 win 5000 <mss 1000,wscale 2>\n> . 1:1 ack 1 win 511',
    );
    dialogue(t, 'connect\n> S 0:0 win 65535 <wscale 7>\n< S. 0:0 ack 1 win 5000 <mss 1000>\n> . 1:1 ack 1 win 65535');
  });
  t.test('the window of a SYN is not scaled, those after it are', async (t) => {
    dialogue(
      t,
      `connect
       > S 0:0
       < S. 0:0 ack 1 win 500 <mss 500,wscale 4>
       > . 1:1 ack 1
       write 3000
       > . 1:501 ack 1
       < . 1:1 ack 501 win 125
       > . 501:1001 ack 1
       > . 1001:1501 ack 1
       > . 1501:2001 ack 1
       > . 2001:2501 ack 1`,
    );
  });
  t.test('malformed options do not stop a handshake', async (t) => {
    dialogue(
      t,
      'listen\n< S 0:0 win 5000 <raw 2 4 3 232 99 0 1 1>\n> S. 0:0 ack 1\n< . 1:1 ack 1 win 5000\nstate ESTABLISHED',
    );
    dialogue(t, 'listen\n< S 0:0 win 5000 <raw 254 40 1 1>\n> S. 0:0 ack 1');
  });
});

t.test('passive open', async (t) => {
  t.test('three segments make a connection', async (t) => {
    dialogue(t, `${ACCEPTED}\ncount TcpPassiveOpens 1\ncount TcpCurrEstab 1`);
  });
  t.test('a SYN-ACK repeats only the options that the SYN had', async (t) => {
    const tcp = { timestamps: true };
    dialogue(t, 'listen\n< S 0:0 win 5000 <mss 1000>\n> S. 0:0 ack 1 <mss 1460,nots,nosackOK,nowscale>', { tcp });
    dialogue(
      t,
      'listen\n< S 0:0 win 5000 <mss 1000,sackOK,TS val 5 ecr 0,wscale 3>\n> S. 0:0 ack 1 <mss 1460,sackOK,TS ecr 5,wscale 7>',
      { tcp },
    );
  });
  t.test('a SYN-ACK is repeated at 1, 3, 7, 15, 31 s, then the request forgotten', async (t) => {
    dialogue(
      t,
      `listen
       < S 0:0 win 5000
       > S. 0:0 ack 1
       +1s > S. 0:0 ack 1
       +2s > S. 0:0 ack 1
       +4s > S. 0:0 ack 1
       +8s > S. 0:0 ack 1
       +16s > S. 0:0 ack 1
       +32s
       +100s
       count TcpAttemptFails 1
       < . 1:1 ack 1
       > R 1:1`,
    );
  });
  t.test('a repeated SYN is answered again', async (t) => {
    dialogue(t, 'listen\n< S 0:0 win 5000\n> S. 0:0 ack 1\n< S 0:0 win 5000\n> S. 0:0 ack 1');
  });
  t.test('data with the last ACK of the handshake is taken', async (t) => {
    dialogue(t, 'listen\n< S 0:0 win 5000\n> S. 0:0 ack 1\n< P. 1:11 ack 1 win 5000\n> . 1:1 ack 11\nreadable 10');
  });
  t.test('FIN with the last ACK of the handshake is taken', async (t) => {
    dialogue(
      t,
      'listen\n< S 0:0 win 5000\n> S. 0:0 ack 1\n< F. 1:1 ack 1 win 5000\n> . 1:1 ack 2\nstate CLOSE-WAIT\neof',
    );
  });
  t.test('RST in SYN-RECEIVED returns to LISTEN', async (t) => {
    dialogue(
      t,
      'listen\n< S 0:0 win 5000\n> S. 0:0 ack 1\n< R 1:1\n< . 1:1 ack 1\n> R 1:1\ncount TcpExtEmbryonicRsts 1',
    );
  });
  t.test('a wrong ACK in SYN-RECEIVED is reset', async (t) => {
    dialogue(
      t,
      'listen\n< S 0:0 win 5000\n> S. 0:0 ack 1\n< . 1:1 ack 9 win 5000\n> R 9:9\n< . 1:1 ack 1\nstate ESTABLISHED',
    );
  });
  t.test('an ACK to a listener is reset, a RST is not answered', async (t) => {
    dialogue(t, 'listen\n< . 1:1 ack 1\n> R 1:1\n< R 1:1\n< F. 1:1 ack 5\n> R 5:5');
  });
  t.test('a closed port answers SYN with RST and ACK', async (t) => {
    dialogue(t, '< S 0:0 win 5000\n> R. 0:0 ack 1\n< S 0:7 win 5000\n> R. 0:0 ack 8\ncount TcpOutRsts 2').tcp.close();
  });
  t.test('a bad checksum is counted and dropped', async (t) => {
    dialogue(t, 'listen\n< S 0:0 win 5000 corrupt\ncount TcpInCsumErrors 1\ncount TcpInErrs 1');
  });
});

t.test('backlog', async (t) => {
  t.test('connections wait to be accepted', async (t) => {
    dialogue(
      t,
      'listen backlog 5\n< S 0:0 win 5000\n> S. 0:0 ack 1\n< . 1:1 ack 1\naccept\nstate ESTABLISHED\naccept none',
    );
  });
  t.test('when the queue is full ACKs and SYNs are dropped, and taken when there is room again', async (t) => {
    dialogue(
      t,
      `listen backlog 0
       < S 0:0 win 5000
       > S. 0:0 ack 1
       < . 1:1 ack 1
       // one waits; the next does not fit
       < S 0:0 win 5000 sport 5001
       count TcpExtListenOverflows 1
       count TcpExtListenDrops 1
       accept
       < S 0:0 win 5000 sport 5001
       > S. 0:0 ack 1
       < . 1:1 ack 1 sport 5001
       accept`,
    );
  });
  t.test('closing the listener resets those not accepted and forgets half-open ones', async (t) => {
    dialogue(
      t,
      `listen backlog 5
       < S 0:0 win 5000
       > S. 0:0 ack 1
       < . 1:1 ack 1
       < S 0:0 win 5000 sport 5001
       > S. 0:0 ack 1
       unlisten
       > R. 1:1 ack 1
       +10s`,
    );
  });
  t.test('a full SYN queue answers with cookies, and an ACK that returns one makes a connection', async (t) => {
    dialogue(
      t,
      `listen backlog 1
       < S 0:0 win 5000 sport 5001
       > S. 0:0 ack 1
       < S 0:0 win 5000 <mss 1460,sackOK,TS val 9 ecr 0,wscale 3>
       > S. 0:0 ack 1 <mss 1460,sackOK,TS ecr 9,wscale 7>
       count TcpExtSyncookiesSent 1
       < . 1:1 ack 1 win 5000 <TS val 10 ecr last>
       count TcpExtSyncookiesRecv 1
       accept
       state ESTABLISHED
       write 1000
       > P. 1:1001 ack 1 <TS ecr 10>`,
      { tcp: { timestamps: true } },
    );
  });
  t.test('an invented cookie is reset', async (t) => {
    dialogue(
      t,
      `listen backlog 1
       < S 0:0 win 5000 sport 5001
       > S. 0:0 ack 1
       < S 0:0 win 5000
       > S. 0:0 ack 1
       < . 1:1 ack 999 win 5000
       > R 999:999
       count TcpExtSyncookiesFailed 1`,
    );
  });
  t.test('without cookies a full SYN queue drops', async (t) => {
    dialogue(
      t,
      'listen backlog 1\n< S 0:0 win 5000 sport 5001\n> S. 0:0 ack 1\n< S 0:0 win 5000\ncount TcpExtTCPReqQFullDrop 1',
      { tcp: { synCookies: false } },
    );
  });
});

t.test('initial sequence numbers (RFC 6528)', async (t) => {
  const iss = (seed: number, port: number, afterUs = 0): number => {
    const pair = new Pair({ seed });
    pair.advance(1000 + afterUs / 1000);
    const c = pair.a.tcp.connect({ daddr: pair.b.addr, dport: 80, sport: port });
    if (typeof c === 'number') throw new Error('connect');
    return c.iss;
  };
  t.equal(iss(1, 5000), iss(1, 5000), 'a function of secret, tuple and clock');
  t.not(iss(1, 5000), iss(2, 5000), 'of the secret');
  const ports = Array.from({ length: 50 }, (_, i) => iss(1, 5000 + i));
  t.equal(new Set(ports).size, 50, 'of the tuple');
  const steps = new Set(ports.slice(1).map((n, i) => (n - ports[i]!) | 0));
  t.equal(steps.size, 49, 'without a pattern from port to port');
  t.equal((iss(1, 5000, 4_000_000) - iss(1, 5000)) | 0, 1_000_000, 'and a clock of 4 microseconds for one tuple');
});

t.test('ephemeral ports (RFC 6056, algorithm 1)', async (t) => {
  const pair = new Pair();
  const ports: number[] = [];
  for (let i = 0; i < 400; i++) {
    const c = pair.a.tcp.connect({ daddr: pair.b.addr, dport: 80 });
    if (typeof c === 'number') throw new Error('connect');
    ports.push(c.lport);
  }
  t.equal(new Set(ports).size, 400, 'no two at once');
  t.ok(ports.every((p) => p >= 32_768 && p <= 60_999));
  const rising = ports.slice(1).filter((p, i) => p > ports[i]!).length;
  t.ok(rising > 120 && rising < 280, `${rising} of 399 are larger than the one before`);
});
