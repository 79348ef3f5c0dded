// SPDX-License-Identifier: Apache-2.0
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { crc32, deflateRawSync } from 'node:zlib';
import { readZipMember } from './zip.ts';

/** A zip archive of these members, deflated. */
function zip(members: Record<string, string>): Buffer {
  const files: Buffer[] = [];
  const directory: Buffer[] = [];
  let offset = 0;
  for (const [name, text] of Object.entries(members)) {
    const packed = deflateRawSync(text);
    const common = Buffer.alloc(26);
    common.writeUInt16LE(8, 4);
    common.writeUInt32LE(crc32(text), 10);
    common.writeUInt32LE(packed.length, 14);
    common.writeUInt32LE(text.length, 18);
    common.writeUInt16LE(name.length, 22);
    const local = Buffer.concat([Buffer.from('PK\x03\x04'), common, Buffer.from(name), packed]);
    const place = Buffer.alloc(14);
    place.writeUInt32LE(offset, 10);
    directory.push(Buffer.concat([Buffer.from('PK\x01\x02\x14\x00'), common, place, Buffer.from(name)]));
    files.push(local);
    offset += local.length;
  }
  const listing = Buffer.concat(directory);
  const end = Buffer.alloc(22);
  end.write('PK\x05\x06', 'latin1');
  end.writeUInt16LE(directory.length, 8);
  end.writeUInt16LE(directory.length, 10);
  end.writeUInt32LE(listing.length, 12);
  end.writeUInt32LE(offset, 16);
  return Buffer.concat([...files, listing, end]);
}

test('a member of a zip archive is found and inflated', () => {
  const archive = zip({ 'a/b': 'first', 'c/d': 'second '.repeat(100) });
  assert.equal(readZipMember(archive, 'c/d').toString(), 'second '.repeat(100));
  assert.equal(readZipMember(archive, 'a/b').toString(), 'first');
});

test('a missing member, a wrong checksum and a cut archive are told apart from a good one', () => {
  const archive = zip({ 'a/b': 'first' });
  assert.throws(() => readZipMember(archive, 'a/c'), { code: 'ZIP_BAD', message: /no member a\/c/ });
  const wrong = Buffer.from(archive);
  wrong.writeUInt32LE(1, wrong.indexOf('PK\x01\x02') + 16);
  assert.throws(() => readZipMember(wrong, 'a/b'), { code: 'ZIP_BAD', message: /checksum/ });
  assert.throws(() => readZipMember(archive.subarray(0, 20), 'a/b'), { code: 'ZIP_BAD' });
});
