// SPDX-License-Identifier: Apache-2.0
// Asks the node proxy of the pod it runs in for an address every 2 ms, and prints the longest wait of each second in ms: what a
// turn of the data plane's loop made somebody wait. known-probe.ts HOST PORT NAME
import { createSocket } from 'node:dgram';
import { encode } from 'dns-packet';

const EVERY_MS = 2;
const [host, port, name] = process.argv.slice(2);
const sentAt = new Float64Array(65_536);
const socket = createSocket('udp4');
let id = 0;
let longest = 0;
let answers = 0;

socket.on('message', (message) => {
  answers++;
  longest = Math.max(longest, performance.now() - sentAt[message.readUInt16BE(0)]!);
});
setInterval(() => {
  id = (id + 1) & 0xffff;
  sentAt[id] = performance.now();
  const question = encode({ type: 'query', id, flags: 256, questions: [{ type: 'A', name: name! }] });
  socket.send(question, Number(port), host);
}, EVERY_MS);
setInterval(() => {
  console.log(JSON.stringify({ atMs: Date.now(), longest, answers }));
  longest = answers = 0;
}, 1000);
