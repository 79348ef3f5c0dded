// SPDX-License-Identifier: Apache-2.0
//
// Lists of a policy's YAML as conditions of one match of layer 7: those of layer 4 by its builder, the rest here. Each
// form of the API's patterns becomes the one the proxy knows, so that nothing is parsed where requests are judged.

import { type Cidr, parseCidr } from '#lib/mesh/cidr.ts';
import { CLAIM_SEPARATOR } from '#lib/mesh/http/claim.ts';
import {
  type AccessCondition,
  type AccessPattern,
  type HttpConditions,
  NO_HTTP_CONDITIONS,
} from '#lib/mesh/http/conditions.ts';
import { NO_SLASH, templateProblem } from '#lib/mesh/http/path-template.ts';
import { EMPTY_MATCH, type Match } from '#lib/mesh/policy.ts';
import type { MeshSettings } from '../mesh-settings.ts';
import type { Operation, Source } from './authorization-spec.ts';
import { MatchBuilder, type MatchOrAlways } from './match-builder.ts';

type Values = readonly string[] | undefined;
type Patterns = (value: string) => AccessPattern | undefined;

export class AccessMatchBuilder {
  readonly #effect: 'allow' | 'deny';
  readonly #connection: MatchBuilder;
  readonly #settings: Pick<MeshSettings, 'trustDomain' | 'trustDomainAliases'>;
  #http: HttpConditions | undefined;
  /** Something was asked that could not be expressed. */
  #lost = false;
  #wantsPrincipals = false;

  /** @param namespace of the policy */
  constructor(
    effect: 'allow' | 'deny',
    namespace: string,
    settings: Pick<MeshSettings, 'trustDomain' | 'trustDomainAliases'>,
  ) {
    this.#effect = effect;
    this.#connection = new MatchBuilder(effect, namespace);
    this.#settings = settings;
  }

  operation(of: Operation): this {
    this.#connection.destinationPorts(of.ports, of.notPorts);
    return this.#text('hosts', of.hosts, of.notHosts, hostPattern)
      .#text('methods', of.methods, of.notMethods, textPattern)
      .#text('paths', of.paths, of.notPaths, pathPattern);
  }

  source(of: Source): this {
    this.#connection.sourceIps(of.ipBlocks, of.notIpBlocks).serviceAccounts(of.serviceAccounts, of.notServiceAccounts);
    return this.#principals(of.principals, of.notPrincipals)
      .#namespaces(of.namespaces, of.notNamespaces)
      .#trustDomains(of.trustDomains, of.notTrustDomains)
      .#text('requestPrincipals', of.requestPrincipals, of.notRequestPrincipals, requestPrincipalPattern)
      .#remoteIps(of.remoteIpBlocks, of.notRemoteIpBlocks);
  }

  header(name: string, any: Values, none: Values): this {
    const value = this.#condition(any, none, textPattern);
    this.#set({ headers: [...this.#known.headers, { name: name.toLowerCase(), value }] });
    return this;
  }

  claim(names: readonly string[], any: Values, none: Values): this {
    const value = this.#condition(any, none, textPattern);
    this.#set({ claims: [...this.#known.claims, { name: names.join(CLAIM_SEPARATOR), value }] });
    return this;
  }

  /** A `when` by any other key; one that is not known never holds, or is not asked for in a denial. */
  when(key: string, any: Values, none: Values): this {
    switch (key) {
      case 'source.ip':
        this.#connection.sourceIps(any, none);
        return this;
      case 'source.serviceAccount':
        this.#connection.serviceAccounts(any, none);
        return this;
      case 'destination.ip':
        this.#connection.destinationIps(any, none);
        return this;
      case 'destination.port':
        this.#connection.destinationPorts(any, none);
        return this;
      case 'source.namespace':
        return this.#namespaces(any, none);
      case 'source.principal':
        return this.#principals(any, none);
      case 'source.trustDomain':
        return this.#trustDomains(any, none);
      case 'remote.ip':
        return this.#remoteIps(any, none);
      case 'request.auth.principal':
        return this.#text('requestPrincipals', any, none, requestPrincipalPattern);
      case 'request.auth.audiences':
        return this.#text('audiences', any, none, textPattern);
      case 'request.auth.presenter':
        return this.#text('presenters', any, none, textPattern);
      case 'connection.sni':
        return this.#text('serverNames', any, none, textPattern);
      default:
        this.#lost = true;
        return this;
    }
  }

  build(): MatchOrAlways {
    const connection = this.#connection.build(this.#lost);
    if (this.#http === undefined) return connection;
    if (this.#effect === 'allow' && (this.#lost || this.#connection.lost)) return EMPTY_MATCH;
    if (connection === 'always') return { ...EMPTY_MATCH, http: this.#http };
    // A match of layer 4 that asks for nothing is empty; here, HTTP is what it asks for.
    return { ...connection, http: this.#http } satisfies Match;
  }

  get #known(): HttpConditions {
    return this.#http ?? NO_HTTP_CONDITIONS;
  }

  #set(fields: Partial<HttpConditions>): void {
    this.#http = { ...this.#known, ...fields };
  }

  #condition(any: Values, none: Values, pattern: Patterns): AccessCondition {
    const read = (values: Values): AccessPattern[] => (values ?? []).map(pattern).filter((one) => one !== undefined);
    const [wanted, excluded] = [read(any), read(none)];
    const lost = wanted.length < (any?.length ?? 0);
    if (lost || excluded.length < (none?.length ?? 0)) this.#lost = true;
    // A denial is not narrowed by the rest of a list of which something was lost.
    return { any: lost && this.#effect === 'deny' ? [] : wanted, none: excluded };
  }

  #text(
    field: 'hosts' | 'methods' | 'paths' | 'requestPrincipals' | 'audiences' | 'presenters' | 'serverNames',
    any: Values,
    none: Values,
    pattern: Patterns,
  ): this {
    if (isGiven(any, none)) this.#set({ [field]: this.#condition(any, none, pattern) });
    return this;
  }

  /** Beside the ones before: of two lists of wanted peers only one can be said. */
  #peers(any: Values, none: Values, pattern: Patterns): this {
    const { peers } = this.#known;
    const more = this.#condition(any, none, pattern);
    if (peers.any.length > 0 && more.any.length > 0) this.#lost = true;
    this.#set({
      peers: { any: peers.any.length > 0 ? peers.any : more.any, none: [...peers.none, ...more.none] },
    });
    return this;
  }

  #principals(any: Values, none: Values): this {
    if ((any?.length ?? 0) > 0) this.#wantsPrincipals = true;
    this.#connection.principals(this.#withAliases(any), this.#withAliases(none));
    return this;
  }

  /** The mesh's trust domain in a principal stands for its aliases too. */
  #withAliases(values: Values): Values {
    const { trustDomain, trustDomainAliases } = this.#settings;
    return values?.flatMap((value) => {
      const domains = [trustDomain, ...trustDomainAliases];
      const own = domains.find((domain) => value.startsWith(`${domain}/`));
      return own === undefined ? [value] : domains.map((domain) => domain + value.slice(own.length));
    });
  }

  #namespaces(any: Values, none: Values): this {
    const all = [...(any ?? []), ...(none ?? [])];
    if (!all.some((value) => value.slice(1, -1).includes('*'))) {
      this.#connection.namespaces(any, none);
      return this;
    }
    return this.#peers(any, none, (value) => ({ kind: 'wildcard', value: `${NO_SLASH}/ns/${value}/sa/${NO_SLASH}` }));
  }

  #trustDomains(any: Values, none: Values): this {
    if (!isGiven(any, none)) return this;
    const { trustDomain, trustDomainAliases } = this.#settings;
    const domains = [trustDomain, ...trustDomainAliases];
    const expanded = (values: Values): Values =>
      values?.flatMap((value) => (domains.includes(value) ? domains : [value]));
    const simple = [...(any ?? []), ...(none ?? [])].every((one) => one === '*' || !one.slice(0, -1).includes('*'));
    if (simple && !this.#wantsPrincipals) {
      this.#connection.trustDomains(expanded(any), expanded(none));
      return this;
    }
    return this.#peers(expanded(any), expanded(none), (value) => ({
      kind: 'wildcard',
      value: `${value.replace('*', NO_SLASH)}/ns/*`,
    }));
  }

  #remoteIps(any: Values, none: Values): this {
    if (!isGiven(any, none)) return this;
    const read = (values: Values): Cidr[] => (values ?? []).map(parseCidr).filter((one) => one !== undefined);
    const [wanted, excluded] = [read(any), read(none)];
    const lost = wanted.length < (any?.length ?? 0);
    if (lost || excluded.length < (none?.length ?? 0)) this.#lost = true;
    this.#set({ remoteIps: { any: lost && this.#effect === 'deny' ? [] : wanted, none: excluded } });
    return this;
  }
}

function isGiven(any: Values, none: Values): boolean {
  return (any?.length ?? 0) + (none?.length ?? 0) > 0;
}

/** `abc`, `abc*`, `*abc`, `*` for any that is not empty. */
function textPattern(value: string): AccessPattern {
  if (value === '*') return { kind: 'present', value: '' };
  if (value.startsWith('*')) return { kind: 'suffix', value: value.slice(1) };
  if (value.endsWith('*')) return { kind: 'prefix', value: value.slice(0, -1) };
  return { kind: 'exact', value };
}

/** Hosts are compared without case. */
function hostPattern(value: string): AccessPattern {
  return textPattern(value.toLowerCase());
}

function pathPattern(value: string): AccessPattern | undefined {
  if (!/\{\*{1,2}\}/.test(value)) return textPattern(value);
  return templateProblem(value) === '' ? { kind: 'template', value } : undefined;
}

/** `issuer/subject`, split at the last slash, either with a `*`. */
function requestPrincipalPattern(value: string): AccessPattern {
  const slash = value.lastIndexOf('/');
  if (value === '*' || slash < 0) return textPattern(value);
  const issuer = value.slice(0, slash);
  const subject = value.slice(slash + 1);
  const joined = `${issuer}${CLAIM_SEPARATOR}${subject}`;
  if (!joined.includes('*')) return { kind: 'exact', value: joined };
  return { kind: 'wildcard', value: joined };
}
