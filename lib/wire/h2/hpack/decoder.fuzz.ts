// SPDX-License-Identifier: Apache-2.0
// Fuzzes HPACK decoding: three blocks on one decoder, whatever they hold.
import assert from 'node:assert/strict';
import { join } from 'node:path';
import { fuzz } from '#lib/testkit/fuzz.ts';
import { HpackDecoder } from './decoder.ts';
import type { HeaderField } from './field.ts';

const hex = (text: string): Buffer => Buffer.from(text.replaceAll(' ', ''), 'hex');

fuzz({
  name: 'any header block decodes or is refused, and the table keeps to its limit',
  corpus: join(import.meta.dirname, 'testdata/decoder'),
  seeds: [
    hex('828684418cf1e3c2e5f23a6ba0ab90f4ff'),
    hex('828684be5886a8eb10649cbf'),
    hex('828785bf408825a849e95ba97d7f8925a849e95bb8e8b4bf'),
    hex('4882640258 85aec3771a4b 61 96d07abe941054d444a8200595040b8166e082a62d1bff'),
    hex('3fe11f20 3f45 100870617373776f726406736563726574'),
    hex('040c2f73616d706c652f70617468'),
  ],
  run(input) {
    const decoder = new HpackDecoder();
    const third = Math.ceil(input.length / 3);
    let octets = 0;
    let fields = 0;
    let ending = '';
    const sink = {
      onField({ name, value }: HeaderField): void {
        fields++;
        octets += name.length + value.length;
        for (const text of [name, value]) for (let i = 0; i < text.length; i++) assert.ok(text.charCodeAt(i) < 256);
      },
    };
    for (let at = 0; at < input.length; at += third) {
      const end = Math.min(input.length, at + third);
      ending = decoder.decode(input, at, end, sink);
      if (ending !== '') break;
      assert.ok(decoder.tableSize <= 4096);
    }
    assert.ok(octets <= input.length * 4096);
    return `${ending} ${fields} ${Math.ceil(decoder.tableSize / 64)}`;
  },
});
