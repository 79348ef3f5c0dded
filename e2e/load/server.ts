// SPDX-License-Identifier: Apache-2.0
// The HTTP server behind every peer of the benchmark: as little as can be between the socket and an answer, so that the
// figures speak of the path to it. server.ts ADDRESS PORT. Closes when the request asks for that.

import { Endpoint } from '#lib/linux/address.ts';
import { Arena } from '#lib/linux/arena.ts';
import { accept, read, send, shutdownWrite } from '#lib/linux/calls.ts';
import { EPOLLET, EPOLLIN, EPOLLRDHUP } from '#lib/linux/constants.ts';
import { EAGAIN } from '#lib/linux/errno.ts';
import { tcpListen } from '#lib/linux/socket.ts';
import { Loop, type Pollable, type Slot } from '#lib/loop/loop.ts';

const BODY = 'hello, world\n';
const answer = (more: string): Buffer =>
  Buffer.from(`HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\n${more}Content-Length: ${BODY.length}\r\n\r\n${BODY}`);
const ANSWER = answer('');
const LAST_ANSWER = answer('Connection: close\r\n');
const END = Buffer.from('\r\n\r\n');
const CLOSE = Buffer.from('Connection: close');

const [address = '127.0.0.1', port = '8080'] = process.argv.slice(2);
const loop = new Loop({ spin: false });
const received = Arena.allocate(64 * 1024);
const answers = Arena.allocate(ANSWER.length * 64);
const lastAnswer = Arena.allocate(LAST_ANSWER.length);
LAST_ANSWER.copy(lastAnswer.bytes);
for (let i = 0; i < 64; i++) ANSWER.copy(answers.bytes, i * ANSWER.length);

class Connection implements Pollable {
  readonly #slot: Slot;

  constructor(fd: number) {
    this.#slot = loop.add(fd, this, EPOLLIN | EPOLLRDHUP | EPOLLET);
  }

  onReady(): void {
    for (;;) {
      const n = read(this.#slot.fd, received, 0, received.size);
      if (n === -EAGAIN) return;
      if (n <= 0) {
        loop.remove(this.#slot);
        return;
      }
      const bytes = received.bytes.subarray(0, n);
      let requests = 0;
      for (let at = bytes.indexOf(END); at !== -1; at = bytes.indexOf(END, at + END.length)) requests++;
      if (bytes.indexOf(CLOSE) === -1) send(this.#slot.fd, answers, 0, Math.min(requests, 64) * ANSWER.length);
      else {
        send(this.#slot.fd, lastAnswer, 0, LAST_ANSWER.length);
        shutdownWrite(this.#slot.fd);
        loop.remove(this.#slot);
        return;
      }
      if (n < received.size) return;
    }
  }
}

const listener = tcpListen(Endpoint.parse(address, Number(port))!, { backlog: 4096 });
loop.add(
  listener,
  {
    onReady: () => {
      for (let fd = accept(listener); fd >= 0; fd = accept(listener)) new Connection(fd);
    },
  },
  EPOLLIN,
);
console.log('up');
loop.run();
