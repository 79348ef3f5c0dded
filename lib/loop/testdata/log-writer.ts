// SPDX-License-Identifier: Apache-2.0
// Writes numbered lines into the log ring at descriptor 3 until it is killed.
import { LINE_KINDS, LogProducer } from '../shared/log-ring.ts';

const producer = LogProducer.open(3);
for (let n = 0; ; n++) producer.write(LINE_KINDS.access, `${n} ${'z'.repeat(n % 211)}`);
