// SPDX-License-Identifier: Apache-2.0
// Takes as much processor as it gets and touches no network: what an attacker does to a machine beside what it sends. A line on
// standard input says for how many ms, the answer how many ms of processor it got.
import { createInterface } from 'node:readline';

for await (const line of createInterface({ input: process.stdin })) {
  const began = process.cpuUsage();
  const end = performance.now() + Number(line);
  while (performance.now() < end);
  const { system, user } = process.cpuUsage(began);
  console.log(JSON.stringify((system + user) / 1000));
}
