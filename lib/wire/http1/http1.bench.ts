// SPDX-License-Identifier: Apache-2.0
// Cost of reading HTTP/1.1: node lib/wire/http1/http1.bench.ts
import { bench, run } from 'mitata';
import type { Http1Head } from './head.ts';
import { type Http1Handler, Http1Receiver } from './receiver.ts';

class Sink implements Http1Handler {
  octets = 0;
  onHead(head: Http1Head): void {
    this.octets += head.fields;
  }
  onBody(_buffer: Buffer, start: number, end: number): void {
    this.octets += end - start;
  }
  onEnd(): void {}
  onError(code: number): void {
    throw new Error(`refused: ${code}`);
  }
}

const BROWSER = [
  'GET /cart/items?page=2 HTTP/1.1',
  'Host: shop.example',
  'User-Agent: Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/130.0 Safari/537.36',
  'Accept: text/html,application/xhtml+xml,application/xml;q=0.9,image/avif,image/webp,*/*;q=0.8',
  'Accept-Language: en-US,en;q=0.5',
  'Accept-Encoding: gzip, deflate, br',
  'Cookie: session=0123456789abcdef; theme=dark',
  'X-Request-Id: 4bf92f35-77b3-4da6-a3ce-929d0e0e4736',
];

for (const [name, text] of [
  ['wrk: two fields', 'GET / HTTP/1.1\r\nHost: 10.0.0.1:8080\r\n\r\n'],
  ['a browser: seven fields', `${BROWSER.join('\r\n')}\r\n\r\n`],
  ['16 KiB by length', `POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 16384\r\n\r\n${'x'.repeat(16_384)}`],
] as const) {
  const receiver = new Http1Receiver(true, new Sink());
  const bytes = Buffer.from(text);
  bench(`read a request of ${name}`, () => {
    receiver.next();
    receiver.receive(bytes, 0, bytes.length);
  });
}
await run();
