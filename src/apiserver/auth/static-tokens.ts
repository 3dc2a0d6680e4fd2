// Bearer tokens from a file: a CSV line each, `token,user,uid[,"group1,group2"]`. After
// k8s.io/apiserver/pkg/authentication/token/tokenfile (kube-apiserver's --token-auth-file).
import type { User } from './user.ts';

/** Whose each token is. Throws an Error that names the line. */
export function parseTokenFile(text: string, file: string): ReadonlyMap<string, User> {
  const users = new Map<string, User>();
  text.split(/\r?\n/).forEach((line, i) => {
    if (line.trim() === '' || line.startsWith('#')) return;
    const found = columns(line, `${file}:${i + 1}`);
    const [token = '', name = '', uid = '', groups = ''] = found;
    if (token === '' || name === '' || found.length < 3 || found.length > 4) {
      throw new Error(`${file}:${i + 1}: expected token,user,uid[,"group1,group2"]`);
    }
    if (users.has(token)) throw new Error(`${file}:${i + 1}: this token is in the file before`);
    const list = groups.split(',').filter((group) => group !== '');
    users.set(token, { name, groups: list, ...(uid === '' ? {} : { uid }) });
  });
  return users;
}

/** RFC 4180: a column in quotes may hold commas; two quotes in it are one. */
function columns(line: string, where: string): string[] {
  const found: string[] = [];
  const column = /\s*(?:"((?:[^"]|"")*)"|([^",]*))\s*(,|$)/y;
  for (;;) {
    const match = column.exec(line);
    if (!match) throw new Error(`${where}: a quote that does not end, or text beside one`);
    found.push(match[1]?.replaceAll('""', '"') ?? match[2]!.trim());
    if (match[3] === '') return found;
  }
}
