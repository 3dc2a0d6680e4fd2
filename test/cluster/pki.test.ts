import { readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import t from 'tap';
import { Pki } from '../../src/cluster/pki.ts';

const NOW = Date.UTC(2026, 0, 1);

t.test('keys are made once for each directory, and are their owner`s only', async (t) => {
  const directory = t.testdir();
  const first = await new Pki(directory).authority(NOW);
  new Pki(directory).tokens();
  const key = readFileSync(join(directory, 'pki/sa.key'), 'utf8');
  const second = await new Pki(directory).authority(NOW);
  new Pki(directory).tokens();
  t.equal(second.certificate, first.certificate);
  t.equal(await second.privateKey(), await first.privateKey());
  t.equal(readFileSync(join(directory, 'pki/sa.key'), 'utf8'), key);
  for (const name of ['ca.crt', 'ca.key', 'sa.key']) {
    t.equal(statSync(join(directory, 'pki', name)).mode & 0o777, 0o600, name);
  }
  t.equal(statSync(join(directory, 'pki')).mode & 0o777, 0o700);
  const { certificate } = await second.client('ann', ['devs']);
  t.match(certificate, /BEGIN CERTIFICATE/);
});

t.test('without a directory keys live as long as the process', async (t) => {
  const pki = new Pki();
  t.equal((await pki.authority(NOW)).certificate, (await pki.authority(NOW)).certificate);
  t.not((await new Pki().authority(NOW)).certificate, (await pki.authority(NOW)).certificate);
});

t.test('what is missing or broken is told by its name, and not replaced', async (t) => {
  const directory = t.testdir();
  const at = (name: string) => join(directory, 'pki', name);
  await new Pki(directory).authority(NOW);
  const other = await new Pki().authority(NOW);
  writeFileSync(at('ca.key'), await other.privateKey());
  await t.rejects(new Pki(directory).authority(NOW), { message: /ca\.crt, ca\.key: the key is not the one of the/ });
  writeFileSync(at('ca.key'), 'nonsense');
  await t.rejects(new Pki(directory).authority(NOW), { name: 'PkiError', message: /ca\.key/ });
  rmSync(at('ca.key'));
  await t.rejects(new Pki(directory).authority(NOW), { message: /ca\.key is missing; put it back/ });
  writeFileSync(at('sa.key'), 'nonsense');
  t.throws(() => new Pki(directory).tokens(), { message: /sa\.key: / });
});
