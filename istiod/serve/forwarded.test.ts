// SPDX-License-Identifier: Apache-2.0
import { equal, match } from 'node:assert/strict';
import { test } from 'node:test';
import { FakeClock } from '#lib/testkit/clock.ts';
import { fakeCluster } from '#lib/testkit/kube-client.ts';
import { Authenticator } from './authenticate.ts';
import { ForwardedCertificates, isRange } from './forwarded.ts';

const CART = 'spiffe://cluster.local/ns/shop/sa/cart';
const OTHER = 'spiffe://cluster.local/ns/bank/sa/teller';
const forwarded = new ForwardedCertificates(['10.1.0.0/16', 'fd00::7'], () => ['cluster.local']);

function judged(header: string, remote = '10.1.2.3:4711'): string {
  const result = forwarded.judge({ header, remote });
  if (result === undefined) return 'nothing is claimed';
  return result.kind === 'known' ? result.caller.identity.uri : result.reason;
}

test('the certificate that a trusted gateway forwards proves its identity, from those addresses only', () => {
  for (const remote of [
    '10.1.2.3:4711',
    '::ffff:10.1.2.3:4711',
    '[::ffff:10.1.2.3]:4711',
    '[fd00::7]:1',
    'fd00::7:1',
  ]) {
    equal(judged(`By=x;Hash=abc;URI=${CART}`, remote), CART, remote);
  }
  for (const remote of ['10.2.0.1:80', '[fd00::8]:80', 'nonsense', '']) {
    match(judged(`URI=${CART}`, remote), /is no gateway that may forward certificates/);
  }
  equal(judged(''), 'nothing is claimed');
});

test('of several certificates the gateway’s own word counts, and quotes hide nothing', () => {
  equal(judged(`URI=${OTHER},Hash=abc;URI=${CART}`), CART);
  equal(judged(`Subject="CN=a,URI=${OTHER}";URI=${CART}`), CART);
  equal(judged(`Subject="a\\",URI=${OTHER};";URI="${CART}"`), CART);
  match(judged(`URI=${CART};URI=${OTHER}`), /no single identity/);
  match(judged(`URI=${CART},Hash=abc`), /no single identity/);
  match(judged('URI=spiffe://elsewhere/ns/shop/sa/cart'), /of another trust domain/);
  match(judged(`Subject="URI=${CART}`), /no single identity/);
});

test('what proves nothing by itself is heard by what was forwarded for it, and such a caller is no pod’s', async () => {
  await using cluster = await fakeCluster();
  const options = { client: cluster.client, clock: new FakeClock(), audiences: ['istio-ca'], clusterId: 'Kubernetes' };
  const ask = (trusted: ForwardedCertificates | undefined, remote = '10.1.0.1:1') =>
    new Authenticator({ ...options, trustDomain: () => 'cluster.local', forwarded: trusted }).authenticate({
      ...{ authorization: '', cluster: '', certificate: undefined },
      forwarded: { header: `URI=${CART}`, remote },
    });
  const known = await ask(forwarded);
  equal(known.kind === 'known' && known.caller.identity.uri, CART);
  equal(known.kind === 'known' && known.caller.pod, undefined);
  const stranger = await ask(forwarded, '192.0.2.1:1');
  match(stranger.kind === 'unknown' ? stranger.reason : '', /no token.*; 192\.0\.2\.1 is no gateway/);
  equal((await ask(undefined)).kind, 'unknown');
});

test('ranges are told from what is none', () => {
  for (const text of ['10.0.0.0/8', '10.0.0.1', 'fd00::/64', '::1']) equal(isRange(text), true, text);
  for (const text of ['', '10.0.0.0/33', 'fd00::/129', 'a/8', '10.0.0.0/8/8', '10.0.0.0/x'])
    equal(isRange(text), false, text);
});
