import t from 'tap';
import { Pair, Sink } from '../../support/tcp-pair.ts';
import { ACCEPTED, CONNECTED, dialogue } from '../../support/tcp-script.ts';

t.test('closing orders', async (t) => {
  t.test('we close first: FIN-WAIT-1, FIN-WAIT-2, TIME-WAIT', async (t) => {
    dialogue(
      t,
      `${CONNECTED}
       end
       > F. 1:1 ack 1
       state FIN-WAIT-1
       < . 1:1 ack 2
       state FIN-WAIT-2
       closed no
       < F. 1:1 ack 2
       > . 2:2 ack 2
       closed
       eof
       +59s < F. 1:1 ack 2
       // a repeated FIN is acknowledged and starts the minute again
       > . 2:2 ack 2
       +59s < F. 1:1 ack 2
       > . 2:2 ack 2
       +61s < F. 1:1 ack 2
       > R 2:2
       count TcpExtTW 1`,
    );
  });
  t.test('the peer closes first: CLOSE-WAIT, LAST-ACK', async (t) => {
    dialogue(
      t,
      `${CONNECTED}
       < F. 1:1 ack 1
       > . 1:1 ack 2
       state CLOSE-WAIT
       eof
       end
       > F. 1:1 ack 2
       state LAST-ACK
       < . 2:2 ack 2
       state CLOSED
       closed
       +1m`,
    );
  });
  t.test('both close at once: CLOSING, TIME-WAIT', async (t) => {
    dialogue(
      t,
      `${CONNECTED}
       end
       > F. 1:1 ack 1
       < F. 1:1 ack 1
       > . 2:2 ack 2
       state CLOSING
       < . 2:2 ack 2
       closed
       < F. 1:1 ack 2
       > . 2:2 ack 2`,
    );
  });
  t.test('FIN that acknowledges ours goes to TIME-WAIT at once', async (t) => {
    dialogue(t, `${CONNECTED}\nend\n> F. 1:1 ack 1\n< F. 1:1 ack 2\n> . 2:2 ack 2\nclosed`);
  });
  t.test('FIN follows the data, in the same segment if it fits', async (t) => {
    dialogue(t, `${CONNECTED}\nwrite 10\n> P. 1:11 ack 1\nwrite 1500\n> . 11:1011 ack 1\nend\n> FP. 1011:1511 ack 1`);
  });
  t.test('a lost FIN is sent again', async (t) => {
    dialogue(t, `${CONNECTED}\nend\n> F. 1:1 ack 1\n+201ms > F. 1:1 ack 1\n+402ms > F. 1:1 ack 1\n< . 1:1 ack 2`);
  });
  t.test('half-close: after our FIN the peer’s data still comes', async (t) => {
    dialogue(
      t,
      `${CONNECTED}
       end
       > F. 1:1 ack 1
       < . 1:1 ack 2
       < P. 1:1001 ack 2
       > . 2:2 ack 1001
       readable 1000
       read
       +10m < FP. 1001:1101 ack 2
       > . 2:2 ack 1102
       read
       eof`,
    );
  });
  t.test('half-close: after the peer’s FIN our data still goes', async (t) => {
    dialogue(
      t,
      `${CONNECTED}\n< F. 1:1 ack 1\n> . 1:1 ack 2\nwrite 100\n> P. 1:101 ack 2\n< . 2:2 ack 101\nend\n> F. 101:101 ack 2`,
    );
  });
  t.test('writing after end is refused', async (t) => {
    dialogue(t, `${CONNECTED}\nend\n> F. 1:1 ack 1\nwrite 5 -1`);
  });
  t.test('bytes that came before the FIN can be read after everything is over', async (t) => {
    dialogue(
      t,
      `${CONNECTED}\nend\n> F. 1:1 ack 1\n< FP. 1:301 ack 2\n> . 2:2 ack 302\nclosed\nreadable 300\nread\neof`,
    );
  });
});

t.test('close(2)', async (t) => {
  t.test('delivers what was written, then FIN, and needs nobody', async (t) => {
    dialogue(
      t,
      `${CONNECTED}
       write 1500
       > . 1:1001 ack 1
       > P. 1001:1501 ack 1
       close
       > F. 1501:1501 ack 1
       < . 1:1 ack 1502
       state FIN-WAIT-2
       < F. 1:1 ack 1502
       > . 1502:1502 ack 2
       state CLOSED
       closed no`,
    );
  });
  t.test('with unread data resets (RFC 2525, 2.17)', async (t) => {
    dialogue(t, `${CONNECTED}\n< P. 1:11 ack 1\n> . 1:1 ack 11\nclose\n> R. 1:1 ack 11\ncount TcpExtTCPAbortOnClose 1`);
  });
  t.test('data that comes afterwards is reset', async (t) => {
    dialogue(
      t,
      `${CONNECTED}\nclose\n> F. 1:1 ack 1\n< . 1:1 ack 2\n< P. 1:11 ack 2\n> R. 2:2 ack 1\ncount TcpExtTCPAbortOnData 1`,
    );
  });
  t.test('an orphan does not wait for the peer’s FIN longer than a minute', async (t) => {
    dialogue(
      t,
      `${CONNECTED}\nclose\n> F. 1:1 ack 1\n< . 1:1 ack 2\n+59s\nstate FIN-WAIT-2\n+2s > R. 2:2 ack 1\nstate CLOSED`,
    );
  });
  t.test('an orphan whose peer is gone is given up after eight timeouts’ time', async (t) => {
    const d = dialogue(t, `${CONNECTED}\nwrite 10\n> P. 1:11 ack 1\nclose\n> F. 11:11 ack 1`);
    d.clock.advance(240e6);
    d.run('drain\nstate CLOSED\ncount TcpExtTCPAbortOnTimeout 1');
  });
  t.test('abort resets', async (t) => {
    dialogue(t, `${CONNECTED}\nwrite 10\n> P. 1:11 ack 1\nabort\n> R. 11:11 ack 1\nstate CLOSED\nclosed no\n+1m`);
  });
});

t.test('RST', async (t) => {
  const states: [string, string, number][] = [
    ['ESTABLISHED', '', 1],
    ['FIN-WAIT-1', 'end\n> F. 1:1 ack 1', 1],
    ['FIN-WAIT-2', 'end\n> F. 1:1 ack 1\n< . 1:1 ack 2', 1],
    ['CLOSE-WAIT', '< F. 1:1 ack 1\n> . 1:1 ack 2', 2],
    ['LAST-ACK', '< F. 1:1 ack 1\n> . 1:1 ack 2\nend\n> F. 1:1 ack 2', 2],
    ['CLOSING', 'end\n> F. 1:1 ack 1\n< F. 1:1 ack 1\n> . 2:2 ack 2', 2],
  ];
  for (const [state, script, nxt] of states) {
    const ours = script.includes('end') ? 2 : 1;
    t.test(`with the next sequence number ends ${state}`, async (t) => {
      dialogue(t, `${CONNECTED}\n${script}\nstate ${state}\n< R ${nxt}:${nxt}\nclosed ECONNRESET\nstate CLOSED`);
    });
    t.test(`elsewhere in the window is challenged in ${state} (RFC 5961, 3.2)`, async (t) => {
      dialogue(
        t,
        `${CONNECTED}\n${script}\n< R ${nxt + 100}:${nxt + 100}\n> . ${ours}:${ours} ack ${nxt}\nstate ${state}\ncount TcpExtTCPChallengeACK 1`,
      );
    });
    t.test(`outside the window is ignored in ${state}`, async (t) => {
      dialogue(t, `${CONNECTED}\n${script}\n< R 100000:100000\n< R -5:-5\nstate ${state}`);
    });
  }
  t.test('in TIME-WAIT with the exact number ends it', async (t) => {
    dialogue(
      t,
      `${CONNECTED}\nend\n> F. 1:1 ack 1\n< F. 1:1 ack 2\n> . 2:2 ack 2\n< R 5:5\n< R 2:2\ncount TcpExtTWKilled 1\n< . 2:2 ack 2\n> R 2:2`,
    );
  });
  t.test('a reset keeps what came before it readable', async (t) => {
    dialogue(t, `${CONNECTED}\n< P. 1:11 ack 1\n> . 1:1 ack 11\n< R 11:11\nclosed ECONNRESET\nreadable 10\nread`);
  });
});

t.test('blind attacks (RFC 5961)', async (t) => {
  t.test('SYN in the window is challenged', async (t) => {
    dialogue(t, `${CONNECTED}\n< S 10:10\n> . 1:1 ack 1\nstate ESTABLISHED\ncount TcpExtTCPSYNChallenge 1`);
  });
  t.test('SYN outside the window too', async (t) => {
    dialogue(t, `${CONNECTED}\n< S 900000:900000\n> . 1:1 ack 1\nstate ESTABLISHED`);
  });
  t.test('an ACK older than any window is challenged, its data not taken', async (t) => {
    dialogue(t, `${CONNECTED}\n< P. 1:11 ack -100000\n> . 1:1 ack 1\nreadable 0\ncount TcpExtTCPChallengeACK 1`);
  });
  t.test('an ACK of what was never sent is answered and dropped', async (t) => {
    dialogue(t, `${CONNECTED}\n< P. 1:11 ack 50\n> . 1:1 ack 1\nreadable 0`);
  });
  t.test('one challenge in half a second and connection', async (t) => {
    dialogue(
      t,
      `${CONNECTED}\n< S 10:10\n> . 1:1 ack 1\n< S 10:10\n< R 20:20\ncount TcpExtTCPACKSkippedChallenge 2\n+501ms < S 10:10\n> . 1:1 ack 1`,
    );
  });
  t.test('about a thousand a second over all', async (t) => {
    const pair = new Pair();
    let sent = 0;
    for (let i = 0; i < 3000; i++) {
      const c = pair.a.tcp.attach(1, i, 2, 3)!;
      c.state = 1;
      pair.a.tcp.stamp();
      const before = pair.a.ip.sent;
      const { sendChallengeAck } = await import('../../../src/tcpip-ts/tcp/transmit.ts');
      sendChallengeAck(c);
      sent += pair.a.ip.sent - before;
    }
    t.ok(sent >= 500 && sent < 1500, `${sent}`);
  });
});

t.test('TIME-WAIT', async (t) => {
  const OVER = `
    ${ACCEPTED}
    end
    > F. 1:1 ack 1
    < F. 1:1 ack 2
    > . 2:2 ack 2
    closed
  `;
  t.test('gives way to a newer SYN, and the new sequence numbers lie beyond the old', async (t) => {
    const d = dialogue(t, OVER);
    const was = d.iss;
    d.run('< S 1000:1000\n> S. 0:0 ack 1001\ncount TcpExtTWRecycled 1');
    t.ok(((d.iss - was) | 0) > 65_000);
  });
  t.test('answers an older SYN with an ACK', async (t) => {
    dialogue(t, `${OVER}\n< S -1000:-1000\n> . 2:2 ack 2`);
  });
  t.test('answers late data with an ACK', async (t) => {
    dialogue(t, `${OVER}\n< . 2:2 ack 2\n< . -500:-400 ack 1\n> . 2:2 ack 2`);
  });
  t.test('a bounded table: beyond it connections close at once', async (t) => {
    dialogue(t, `${OVER}\ncount TcpExtTCPTimeWaitOverflow 1\n< F. 1:1 ack 2\n> R 2:2`, { tcp: { maxTimeWait: 0 } });
  });
});

t.test('every order of closing leaves nothing behind, with loss', async (t) => {
  const actions = ['end', 'close', 'abort', 'none'] as const;
  for (const first of actions) {
    for (const second of actions) {
      for (const gapMs of [0, 1, 3, 50]) {
        for (let seed = 1; seed <= 4; seed++) {
          const pair = new Pair({ delayUs: 1000, loss: 0.15, seed, poolSize: 64 });
          const [client, server] = pair.connect();
          const sinks = [new Sink(client), new Sink(server)];
          client.write(new Uint8Array(3000));
          server.write(new Uint8Array(3000));
          if (first !== 'none') client[first]();
          pair.advance(gapMs);
          if (second !== 'none') server[second]();
          pair.advance(30_000);
          // Whoever has not closed does so in the end.
          client.close();
          server.close();
          pair.advance(400_000);
          const problem = pair.leaks().join(', ');
          if (problem !== '' || sinks.length !== 2) {
            t.fail(`${first} then ${second} after ${gapMs} ms, seed ${seed}: ${problem}`);
            return;
          }
        }
      }
    }
  }
  t.pass('all orders');
});
