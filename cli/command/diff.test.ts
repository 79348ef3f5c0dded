// SPDX-License-Identifier: Apache-2.0
import { equal, throws } from 'node:assert/strict';
import { test } from 'node:test';
import { diffText, momentOf } from './diff.ts';

test('a moment is a time or how long ago', () => {
  equal(momentOf('10m', 1_000_000), 400_000);
  equal(momentOf('2026-01-01T00:00:00Z', 0), Date.UTC(2026, 0, 1));
  throws(() => momentOf('yesterday', 0), /write a time as/);
});

test('each object is shown with the lines that went and those that came', () => {
  const text = diffText(
    [
      {
        object: 'AuthorizationPolicy shop/a',
        before: { spec: { action: 'ALLOW', x: 1 } },
        after: { spec: { action: 'DENY', x: 1 } },
      },
      { object: 'Service shop/web', after: { spec: {} } },
    ],
    false,
  );
  equal(
    text,
    `AuthorizationPolicy shop/a (changed)
  spec:
-   action: ALLOW
+   action: DENY
    x: 1

Service shop/web (created)
+ spec: {}
`,
  );
  equal(diffText([], false), 'Nothing changed.\n');
});
