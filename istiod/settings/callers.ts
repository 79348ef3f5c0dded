// SPDX-License-Identifier: Apache-2.0
// Who may call, and how often.
import type { ConfigReader } from '#lib/kit/config.ts';
import { isRange } from '../serve/forwarded.ts';
import { type IssuerRule, readIssuerRule } from '../serve/issuer-rule.ts';
import type { Given } from './given.ts';

/** @param namespace of istiod, where by default the node proxies are, too */
export function readCallers({ env }: Given, namespace: string) {
  const settings = {
    /** `<namespace>/<service account>` of the node proxies that may ask for other identities. */
    trustedNodeAccounts: new Set(env.list('CA_TRUSTED_NODE_ACCOUNTS', [`${namespace}/ztunnel`])) as ReadonlySet<string>,
    tokenAudiences: env.list('TOKEN_AUDIENCES', ['istio-ca']),
    /** An issuer of one's own, whose tokens prove accounts; undefined for none. */
    issuerRule: issuerRule(env),
    /** Addresses of gateways that may say by a header whose certificate they have verified. */
    trustedGateways: env.list('TRUSTED_GATEWAY_CIDR'),
    /** Whether callers of the TLS port must show a token. */
    authenticate: env.boolean('XDS_AUTH', true),
    /** Whether callers of the plaintext port must show a token, too. */
    authenticatePlaintext: env.boolean('XDS_AUTH_PLAINTEXT', false),
    /** Whether a client's node must lie in the namespace of its identity. */
    checkNodeIdentity: env.boolean('PILOT_ENABLE_XDS_IDENTITY_CHECK', true),
    /** Certificates a caller may ask for in a second, and at once after a silence. */
    certificatesPerSecond: env.integer('AMBIT_CA_REQUESTS_PER_SECOND', 50, { min: 1 }),
    certificateBurst: env.integer('AMBIT_CA_REQUESTS_BURST', 1_000, { min: 1 }),
  };
  for (const account of settings.trustedNodeAccounts) {
    if (!/^[^/]+\/[^/]+$/.test(account)) {
      env.problem(
        'CA_TRUSTED_NODE_ACCOUNTS',
        `${JSON.stringify(account)} is no account`,
        'write <namespace>/<service account>',
      );
    }
  }
  for (const range of settings.trustedGateways.filter((text) => !isRange(text))) {
    env.problem(
      'TRUSTED_GATEWAY_CIDR',
      `${JSON.stringify(range)} is no address or range`,
      'write for example 10.0.0.0/8',
    );
  }
  return settings;
}

function issuerRule(env: ConfigReader): IssuerRule | undefined {
  const text = env.string('JWT_RULE', '');
  if (text === '') return undefined;
  const read = readIssuerRule(text);
  if (read.ok) return read.value;
  for (const { field, fix = '', message } of read.problems) env.problem(field, message, fix);
  return undefined;
}
