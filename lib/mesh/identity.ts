// SPDX-License-Identifier: Apache-2.0
//
// Who a workload is: a SPIFFE identity of a Kubernetes service account. It names the peer in certificates
// (`spiffe://<trust domain>/ns/<namespace>/sa/<account>`), in policies (the same without scheme) and in logs.

/** Trust domain of a mesh that configures none. */
export const DEFAULT_TRUST_DOMAIN = 'cluster.local';

/** Service account of a workload that names none. */
export const DEFAULT_SERVICE_ACCOUNT = 'default';

const SCHEME = 'spiffe://';

export class Identity {
  readonly trustDomain: string;
  readonly namespace: string;
  readonly serviceAccount: string;
  /** `<trust domain>/ns/<namespace>/sa/<account>`, the form `principals` of a policy are written in. */
  readonly principal: string;

  constructor(trustDomain: string, namespace: string, serviceAccount: string) {
    this.trustDomain = trustDomain;
    this.namespace = namespace;
    this.serviceAccount = serviceAccount;
    this.principal = `${trustDomain}/ns/${namespace}/sa/${serviceAccount}`;
  }

  /** `spiffe://…`, the form in certificates. */
  get uri(): string {
    return SCHEME + this.principal;
  }

  equals(other: Identity): boolean {
    return this.principal === other.principal;
  }

  toString(): string {
    return this.uri;
  }

  toJSON(): string {
    return this.uri;
  }
}

/**
 * The identity a URI names. Exactly five segments after the scheme, none empty, the second `ns`, the fourth `sa`.
 * @returns undefined for anything else
 */
export function parseIdentity(uri: string): Identity | undefined {
  if (!uri.startsWith(SCHEME)) return undefined;
  return parsePrincipal(uri.slice(SCHEME.length));
}

/** As {@link parseIdentity}, without the scheme. */
export function parsePrincipal(text: string): Identity | undefined {
  const [trustDomain, ns, namespace, sa, account, ...rest] = text.split('/');
  if (ns !== 'ns' || sa !== 'sa' || rest.length > 0) return undefined;
  if (!trustDomain || !namespace || !account) return undefined;
  return new Identity(trustDomain, namespace, account);
}
