// SPDX-License-Identifier: Apache-2.0
import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from '#lib/testkit/properties.ts';
import { OpenStreams } from './open-streams.ts';
import { H2Stream } from './stream.ts';

test('open streams are found, counted and listed as in a map, whatever comes and goes in whatever order', () => {
  const step = fc.record({ id: fc.integer({ min: 0, max: 60 }), stride: fc.constantFrom(1, 8, 64), add: fc.boolean() });
  fc.assert(
    fc.property(fc.array(step, { maxLength: 400 }), (steps) => {
      const open = new OpenStreams();
      const model = new Map<number, H2Stream>();
      for (const { add, id: n, stride } of steps) {
        const id = 1 + n * 2 * stride;
        if (add && !model.has(id)) {
          const stream = new H2Stream(id, 0, 0);
          model.set(id, stream);
          open.add(stream);
        } else if (!add) {
          const stream = model.get(id);
          model.delete(id);
          if (stream !== undefined) open.delete(stream);
        }
        assert.equal(open.size, model.size);
        assert.equal(open.get(id), model.get(id));
      }
      for (const [id, stream] of model) assert.equal(open.get(id), stream);
      const sorted = (streams: Iterable<H2Stream>) => [...streams].map(({ id }) => id).sort((a, b) => a - b);
      assert.deepEqual(sorted(open.values()), sorted(model.values()));
    }),
  );
});

test('a stream that is not open is not deleted in place of another', () => {
  const open = new OpenStreams();
  const [one, other] = [new H2Stream(1, 0, 0), new H2Stream(17, 0, 0)];
  open.add(one);
  open.delete(other);
  assert.equal(open.get(1), one);
  assert.equal(open.get(17), undefined);
});
