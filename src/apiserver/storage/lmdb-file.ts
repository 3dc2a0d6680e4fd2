// A look at LMDB's file before LMDB maps it: what it reads it trusts, and a file that is no database, or that was cut off, ends the
// process with SIGSEGV or SIGBUS instead of an error. After liblmdb's mdb.c (MDB_page_header, MDB_meta), 64 bits, little-endian:
// the first two pages are meta pages. Pages further on are LMDB's to check (MDB_CORRUPTED).
import { closeSync, fstatSync, ftruncateSync, openSync, readSync } from 'node:fs';

const MAGIC = 0xbeefc0de;
const MIN_PAGE = 512;
const MAX_PAGE = 65_536;
const META_BYTES = 0xa0;
const AT_MAGIC = 0x18;
/** Of the database of free pages, whose otherwise unused padding it is. */
const AT_PAGE_SIZE = 0x30;
const AT_LAST_PAGE = 0x90;

/**
 * Throws an Error that says what is wrong with `file`. A missing or empty one is right: LMDB begins it. One that is shorter than
 * its last page is made longer: the end may be missing rightly (all of it free), and where it is not, LMDB then finds empty pages
 * and not the end of its mapping.
 */
export function checkLmdbFile(file: string): void {
  let fd: number;
  try {
    fd = openSync(file, 'r+');
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return;
    throw error;
  }
  try {
    const { size } = fstatSync(fd);
    if (size === 0) return;
    const first = meta(fd, file, 0);
    const second = meta(fd, file, first.pageSize);
    const whole = (Math.max(first.lastPage, second.lastPage) + 1) * first.pageSize;
    if (size < whole) ftruncateSync(fd, whole);
  } finally {
    closeSync(fd);
  }
}

function meta(fd: number, file: string, at: number): { pageSize: number; lastPage: number } {
  const bytes = Buffer.alloc(META_BYTES);
  const length = readSync(fd, bytes, 0, META_BYTES, at);
  const pageSize = bytes.readUInt32LE(AT_PAGE_SIZE);
  const sane = pageSize >= MIN_PAGE && pageSize <= MAX_PAGE && (pageSize & (pageSize - 1)) === 0;
  if (length < META_BYTES || bytes.readUInt32LE(AT_MAGIC) !== MAGIC || !sane) {
    throw new Error(`${file} is no LMDB file, or its beginning is damaged`);
  }
  return { pageSize, lastPage: Number(bytes.readBigUInt64LE(AT_LAST_PAGE)) };
}
