// The README is kept true: the files it leads to are there, its map has every room, and its commands, benches and images are the
// program's. What its examples print is the matter of test/e2e.
import { execFileSync } from 'node:child_process';
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import t from 'tap';
import { ImageCatalog } from '../src/node/images.ts';
import { ROOT } from './support/podwire.ts';

const README = readFileSync(join(ROOT, 'README.md'), 'utf8');
const COMMAND = join(import.meta.dirname, '../src/cli/podwire.js');

function help(...args: readonly string[]): string {
  const { NODE_OPTIONS: _, ...env } = process.env; // tap puts a loader there
  return execFileSync(process.execPath, [COMMAND, ...args, '--help'], { encoding: 'utf8', env });
}

function section(title: string): string {
  return README.split(/^## /m).find((part) => part.startsWith(`${title}\n`))!;
}

t.test('every file and folder it names is there', async (t) => {
  const places = [...README.matchAll(/(?<![\w/.-])(?:src|test|bench|examples|scripts|native)\/[\w./-]*[\w/]/g)];
  t.ok(places.length > 20);
  for (const [place] of places) t.ok(existsSync(join(ROOT, place)), place);
});

t.test('its map has every room', async (t) => {
  const map = section('The map');
  for (const room of readdirSync(join(ROOT, 'src'))) t.ok(map.includes(`\`src/${room}/\``), room);
});

t.test('its commands are those of the program, and their options exist', async (t) => {
  const listed = [...help().matchAll(/^ {2}(\w+) /gm)].map(([, name]) => name!).filter((name) => name !== 'help');
  const table = section('Commands');
  for (const name of listed) t.ok(table.includes(`\`${name}\``), name);
  for (const [, name, rest] of README.matchAll(/^ {4}(?:\$ )?podwire (\w+)([^\n]*)$/gm)) {
    t.ok(listed.includes(name!), name);
    const text = help(name!);
    const [options = ''] = rest!.split(/ -- | {2}/);
    for (const [, option] of options.matchAll(/ (--?[a-z][a-z-]*)/g)) {
      t.match(text, new RegExp(`(?<![\\w-])${option}[ ,\\n]`), `podwire ${name} ${option}`);
    }
  }
});

t.test('its benches are those there are', async (t) => {
  const [, names] = /measure this machine: ([\w\s,]+)\n\n/.exec(help('bench'))!;
  t.ok(section('Proxies side by side').includes(`\`${names!.split(/,\s+/).join(' ')}\``), names);
});

t.test('its images are in the catalog', async (t) => {
  const catalog = new ImageCatalog();
  const [sentence] = /^Images are names: [^;]+/m.exec(README)!;
  const names = [...sentence.replace(/\([^)]*\)/g, '').matchAll(/`([\w-]+)`/g)].map(([, name]) => name!);
  t.ok(names.length > 5);
  for (const name of names) t.ok(catalog.find(name), name);
});
