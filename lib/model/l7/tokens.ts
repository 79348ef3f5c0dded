// SPDX-License-Identifier: Apache-2.0
//
// Which tokens waypoints accept for their services, and which key sets have to be fetched for that.

import type { Collection } from '#lib/collections/collection.ts';
import type { Graph } from '#lib/collections/graph.ts';
import { convertRequestAuthentication, type RequestAuthentication } from '../policy/request-authentication.ts';
import { enforcers, type TargetSources } from './access.ts';
import { REQUEST_AUTHENTICATION } from './resource.ts';
import { type ScopedType, scopedValues } from './scoped.ts';

/** Where a key set is to be had: at `uri`, or where the issuer's own configuration says. */
export interface KeySetRef {
  readonly issuer: string;
  readonly uri: string;
}

/** The key of a fetched set in the model's inputs. */
export function keySetId({ issuer, uri }: KeySetRef): string {
  return uri === '' ? `issuer ${issuer}` : uri;
}

export interface TokenSources extends TargetSources {
  readonly requestAuthentications: Collection<RequestAuthentication>;
  /** Fetched key sets as text, by {@link keySetId}. */
  readonly keySets: Collection<string>;
}

export interface TokenCollections {
  readonly type: ScopedType;
  /** Sets that are not in the objects themselves, by {@link keySetId}. */
  readonly wanted: Collection<KeySetRef>;
}

export function createTokens(graph: Graph, sources: TokenSources): TokenCollections {
  const { keySets, requestAuthentications } = sources;
  const type = scopedValues(graph, REQUEST_AUTHENTICATION, requestAuthentications, (object, _key, fetch) => {
    const found = enforcers(object, sources, fetch);
    const fetched = (issuer: string, uri: string) => fetch.get(keySets, keySetId({ issuer, uri })) ?? '';
    return new Map(
      [...found].map(([gateway, services]) => [gateway, convertRequestAuthentication(object, services, fetched)]),
    );
  });
  const wanted = graph.flatMap('key sets to fetch', requestAuthentications, ({ spec }) =>
    (spec?.jwtRules ?? []).flatMap(({ issuer = '', jwks = '', jwksUri: uri = '' }): [string, KeySetRef][] =>
      jwks !== '' || (uri === '' && issuer === '') ? [] : [[keySetId({ issuer, uri }), { issuer, uri }]],
    ),
  );
  return { type, wanted };
}
