// SPDX-License-Identifier: Apache-2.0
// ClientHello reading against hellos of a real TLS client, and against hellos gone wrong.
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { type AddressInfo, createServer, type Socket } from 'node:net';
import { after, before, test } from 'node:test';
import { type ConnectionOptions, connect } from 'node:tls';
import fc from '#lib/testkit/properties.ts';
import { type ClientHello, parseClientHello } from './client-hello.ts';

const server = createServer();
let port = 0;
let plain: Buffer;
before(async () => {
  await once(server.listen(0, '127.0.0.1'), 'listening');
  port = (server.address() as AddressInfo).port;
  plain = await helloOf({ servername: 'cart.shop.svc', ALPNProtocols: ['h2', 'http/1.1'] });
});
after(() => server.close());

/** The first bytes that Node's TLS client sends. */
async function helloOf(options: ConnectionOptions): Promise<Buffer> {
  const accepted = once(server, 'connection');
  const client = connect({ port, host: '127.0.0.1', rejectUnauthorized: false, ...options });
  client.on('error', () => {});
  const [socket] = (await accepted) as [Socket];
  const [bytes] = (await once(socket, 'data')) as [Buffer];
  client.destroy();
  socket.destroy();
  return bytes;
}

function hello(bytes: Buffer): ClientHello {
  const got = parseClientHello(bytes);
  assert.ok(got.kind === 'hello', JSON.stringify(got));
  return got.hello;
}

/** The same handshake bytes in records of at most `size`. */
function split(bytes: Buffer, size: number): Buffer {
  const records: Buffer[] = [];
  for (let at = 5; at < bytes.length; at += size) {
    const part = bytes.subarray(at, Math.min(bytes.length, at + size));
    records.push(Buffer.from([22, 3, 1, part.length >>> 8, part.length & 255]), part);
  }
  return Buffer.concat(records);
}

test("Node's hello shows name, protocols and versions", () => {
  assert.deepEqual(hello(plain), { serverName: 'cart.shop.svc', alpn: ['h2', 'http/1.1'], versions: [0x304, 0x303] });
});

test('a hello without a name, and one for TLS 1.2 only, are read', async () => {
  assert.deepEqual(hello(await helloOf({ ALPNProtocols: ['h2'] })).serverName, '');
  const old = hello(await helloOf({ maxVersion: 'TLSv1.2', servername: 'Upper.Example' }));
  assert.deepEqual(old, { serverName: 'upper.example', alpn: [], versions: [0x303] });
});

test('every beginning of a hello is incomplete, and any split into records reads the same', () => {
  for (let end = 0; end < plain.length; end++)
    assert.equal(parseClientHello(plain.subarray(0, end)).kind, 'incomplete');
  fc.assert(
    fc.property(fc.integer({ min: 1, max: 600 }), (size) => {
      assert.deepEqual(hello(split(plain, size)), hello(plain));
    }),
  );
});

test('what is no ClientHello is refused early', () => {
  const reason = (bytes: Buffer): string => {
    const got = parseClientHello(bytes);
    return got.kind === 'invalid' ? got.reason : got.kind;
  };
  assert.match(reason(Buffer.from('GET / HTTP/1.1')), /no handshake/);
  assert.match(reason(Buffer.from([22, 2])), /no TLS version/);
  assert.match(reason(Buffer.from([22, 3, 1, 0, 0])), /record of 0/);
  assert.match(reason(Buffer.from([22, 3, 1, 0xff, 0xff])), /record of 65535/);
  assert.match(reason(Buffer.from([22, 3, 1, 0, 4, 2, 0, 0, 0])), /no ClientHello/);
  assert.match(reason(Buffer.from([22, 3, 1, 0, 4, 1, 1, 0, 0])), /above 16384/);
  assert.match(reason(Buffer.from([22, 3, 1, 0, 6, 1, 0, 0, 2, 3, 3, 0])), /cut/);
});

test('a hello whose inner lengths lie is refused or read, never more than it is', () => {
  fc.assert(
    fc.property(fc.nat(plain.length - 1), fc.integer({ min: 0, max: 255 }), (at, octet) => {
      const bytes = Buffer.from(plain);
      bytes[at] = octet;
      const got = parseClientHello(bytes);
      if (got.kind === 'hello') assert.ok(got.hello.serverName.length < 300);
    }),
    { numRuns: 3000 },
  );
});

test('names that are no host names are refused', () => {
  const place = plain.indexOf('cart.shop.svc');
  for (const bad of ['cart shop.svc', 'cart/shop.svc', '\0art.shop.svc', '-art.shop.svc']) {
    const bytes = Buffer.from(plain);
    bytes.write(bad, place, 'latin1');
    assert.equal(parseClientHello(bytes).kind, 'invalid', bad);
  }
});
