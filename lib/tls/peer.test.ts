// SPDX-License-Identifier: Apache-2.0
// A corpus of hostile certificates: what OpenSSL alone accepts is held beside what the mesh does.
import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { duplexPair } from 'node:stream';
import { after, test } from 'node:test';
import { TLSSocket, connect as tlsConnect } from 'node:tls';
import { x509 } from '#lib/identity/x509.ts';
import {
  CLIENT_AUTH,
  createTestCa,
  type LeafOptions,
  SERVER_AUTH,
  type TestIdentity,
} from '#lib/testkit/certificates.ts';
import { CART, createTlsMaterial, ORDERS } from '#lib/testkit/tls-material.ts';
import { connect, createPair } from '#lib/testkit/tls-pair.ts';
import { pemBlocks } from '#lib/wire/pem.ts';
import { isExpectedServer, isOfTrustDomain, judgePeer, type PeerIdentity } from './peer.ts';

const { ca, cart, orders, context } = await createTlsMaterial();
const stranger = await createTestCa('other root');
const past = new Date(Date.now() - 3_600_000);

interface Case {
  readonly name: string;
  readonly identity: Promise<TestIdentity>;
  /** What `node:tls` says of it as a client certificate, with verification on. */
  readonly nodeAccepts: boolean;
  readonly reason: RegExp;
}

const uri = (value: string): { type: 'url'; value: string } => ({ type: 'url', value });
const leaf = (names: x509.JsonGeneralNames, options: LeafOptions = {}): Promise<TestIdentity> =>
  ca.issue(names, options);

const corpus: Case[] = [
  { name: 'no URI', identity: leaf([{ type: 'dns', value: 'cart.shop' }]), nodeAccepts: true, reason: /0 URI names/ },
  { name: 'no names at all', identity: leaf([]), nodeAccepts: true, reason: /0 URI names/ },
  { name: 'two SPIFFE URIs', identity: leaf([uri(CART), uri(ORDERS)]), nodeAccepts: true, reason: /2 URI names/ },
  { name: 'the same URI twice', identity: leaf([uri(CART), uri(CART)]), nodeAccepts: true, reason: /2 URI names/ },
  {
    name: 'a NUL in the URI',
    identity: leaf([uri(`${CART}\0.evil`)]),
    nodeAccepts: true,
    reason: /no SPIFFE identity/,
  },
  {
    name: 'a NUL before the account',
    identity: leaf([uri('spiffe://cluster.local/ns/shop/sa/\0cart')]),
    nodeAccepts: true,
    reason: /no SPIFFE/,
  },
  {
    name: 'another scheme',
    identity: leaf([uri('https://cluster.local/ns/shop/sa/cart')]),
    nodeAccepts: true,
    reason: /no SPIFFE/,
  },
  {
    name: 'upper-case scheme',
    identity: leaf([uri('SPIFFE://cluster.local/ns/shop/sa/cart')]),
    nodeAccepts: true,
    reason: /no SPIFFE/,
  },
  {
    name: 'too few segments',
    identity: leaf([uri('spiffe://cluster.local/ns/shop')]),
    nodeAccepts: true,
    reason: /no SPIFFE/,
  },
  { name: 'too many segments', identity: leaf([uri(`${CART}/x`)]), nodeAccepts: true, reason: /no SPIFFE/ },
  {
    name: 'empty account',
    identity: leaf([uri('spiffe://cluster.local/ns/shop/sa/')]),
    nodeAccepts: true,
    reason: /no SPIFFE/,
  },
  {
    name: 'dot segments',
    identity: leaf([uri('spiffe://cluster.local/ns/../sa/cart')]),
    nodeAccepts: true,
    reason: /no SPIFFE/,
  },
  {
    name: 'percent encoding',
    identity: leaf([uri('spiffe://cluster.local/ns/shop/sa/c%61rt')]),
    nodeAccepts: true,
    reason: /no SPIFFE/,
  },
  { name: 'line break behind the URI', identity: leaf([uri(`${CART}\n`)]), nodeAccepts: true, reason: /no SPIFFE/ },
  { name: 'query', identity: leaf([uri(`${CART}?x`)]), nodeAccepts: true, reason: /no SPIFFE/ },
  {
    name: 'user and port',
    identity: leaf([uri('spiffe://a@cluster.local:1/ns/shop/sa/cart')]),
    nodeAccepts: true,
    reason: /no SPIFFE/,
  },
  {
    name: 'a CA as leaf',
    identity: leaf([uri(CART)], {
      ca: true,
      keyUsage: x509.KeyUsageFlags.digitalSignature | x509.KeyUsageFlags.keyCertSign,
    }),
    nodeAccepts: true,
    reason: /CA certificate/,
  },
  {
    name: 'a leaf that may sign certificates',
    identity: leaf([uri(CART)], { keyUsage: x509.KeyUsageFlags.digitalSignature | x509.KeyUsageFlags.keyCertSign }),
    nodeAccepts: true,
    reason: /signing certificates/,
  },
  {
    name: 'server use only, as client',
    identity: leaf([uri(CART)], { extendedKeyUsage: [SERVER_AUTH] }),
    nodeAccepts: false,
    reason: /unsuitable certificate purpose/,
  },
  {
    name: 'expired',
    identity: leaf([uri(CART)], { notBefore: new Date(0), notAfter: past }),
    nodeAccepts: false,
    reason: /expired/,
  },
  {
    name: 'not yet valid',
    identity: leaf([uri(CART)], { notBefore: new Date(Date.now() + 3_600_000) }),
    nodeAccepts: false,
    reason: /not yet valid/,
  },
  { name: 'another root', identity: stranger.issue(CART), nodeAccepts: false, reason: /unable to get local issuer/ },
  {
    name: 'a leaf signed by a leaf',
    identity: signedByLeaf(),
    nodeAccepts: false,
    reason: /invalid CA certificate|unsuitable|verify failed/,
  },
  {
    name: 'an unknown critical extension',
    identity: leaf([uri(CART)], { extensions: [new x509.Extension('1.2.3.4.5', true, new Uint8Array([5, 0]))] }),
    nodeAccepts: false,
    reason: /unhandled critical extension/,
  },
];

async function signedByLeaf(): Promise<TestIdentity> {
  const below = await ca.intermediate({ ca: false, keyUsage: x509.KeyUsageFlags.digitalSignature });
  return below.issue(CART);
}

for (const { name, identity, nodeAccepts, reason } of corpus) {
  test(`trap 10: a client certificate with ${name} is refused`, async () => {
    const hostile = await identity;
    assert.equal(await acceptedByNode(hostile), nodeAccepts, 'what node:tls says');
    using pair = createPair(context(hostile), context(orders));
    let verdict: string;
    try {
      connect(pair);
      const peer = pair.server.peer();
      assert.equal(peer.ok, false);
      verdict = peer.ok ? '' : peer.problems[0]!.message;
    } catch {
      verdict = pair.server.failure;
    }
    assert.match(verdict, reason);
  });
}

test('trap 10: a server certificate for client use only is refused by the client', async () => {
  const hostile = await leaf([uri(ORDERS)], { extendedKeyUsage: [CLIENT_AUTH] });
  using pair = createPair(context(cart), context(hostile));
  assert.throws(() => connect(pair), /unsuitable certificate purpose/);
});

test('a leaf without extended key usage serves both roles', async () => {
  const plain = await leaf([uri(CART)], { extendedKeyUsage: [] });
  using pair = createPair(context(plain), context(plain));
  connect(pair);
  assert.ok(pair.server.peer().ok);
  assert.ok(pair.client.peer().ok);
});

test('expected servers and trust domains are compared exactly; nobody is expected by an empty list', () => {
  const judged = judgePeer(chainOf(cart), 'client');
  assert.ok(judged.ok);
  const peer: PeerIdentity = judged.value;
  assert.equal(isExpectedServer(peer, [ORDERS, CART]), true);
  assert.equal(isExpectedServer(peer, [ORDERS]), false);
  assert.equal(isExpectedServer(peer, []), false);
  assert.equal(isOfTrustDomain(peer, 'cluster.local'), true);
  assert.equal(isOfTrustDomain(peer, 'Cluster.local'), false);
  assert.equal(isOfTrustDomain(peer, 'local'), false);
});

test('certificates damaged at any byte never throw and never gain another identity', () => {
  const [der] = pemBlocks(cart.chainPem, 'CERTIFICATE');
  const root = new Uint8Array(ca.root.rawData);
  for (let i = 0; i < 4000; i++) {
    const damaged = new Uint8Array(der!);
    const [at, value] = [randomBytes(2).readUInt16BE() % damaged.length, randomBytes(1)[0]!];
    damaged[at] = value;
    const judged = judgePeer([i % 3 === 0 ? damaged.subarray(0, at) : damaged, root], 'client');
    if (judged.ok)
      assert.match(judged.value.uri, /^spiffe:\/\/[\w.-]+\/ns\/[\w.-]+\/sa\/[\w.-]+$/, `byte ${at} = ${value}`);
  }
});

function chainOf(identity: TestIdentity): Uint8Array[] {
  return [...pemBlocks(identity.chainPem, 'CERTIFICATE'), new Uint8Array(ca.root.rawData)];
}

const open: { destroy(): void }[] = [];
after(() => {
  for (const one of open) one.destroy();
});

function acceptedByNode(hostile: TestIdentity): Promise<boolean> {
  const [left, right] = duplexPair();
  const server = new TLSSocket(left, {
    isServer: true,
    requestCert: true,
    cert: orders.chainPem,
    key: orders.keyPem,
    ca: ca.rootPem,
  });
  const client = tlsConnect({
    socket: right,
    cert: hostile.chainPem,
    key: hostile.keyPem,
    ca: ca.rootPem,
    checkServerIdentity: () => undefined,
  });
  open.push(left, right, server, client);
  client.on('error', () => {});
  return new Promise((resolve, reject) => {
    server.on('secure', () =>
      resolve((server as TLSSocket & { ssl: { verifyError(): unknown } }).ssl.verifyError() == null),
    );
    server.on('error', reject);
  });
}
