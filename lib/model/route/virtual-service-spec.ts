// SPDX-License-Identifier: Apache-2.0
//
// What the model reads of VirtualServices (networking.istio.io/v1).

import type { CustomObject } from '../object/object.ts';

/** One of exact, prefix, regex; none of them means presence where that makes sense. */
export interface StringMatchSpec {
  readonly exact?: string;
  readonly prefix?: string;
  readonly regex?: string;
}

export interface DestinationSpec {
  readonly host?: string;
  readonly subset?: string;
  readonly port?: { readonly number?: number };
}

export interface HeadersSpec {
  readonly request?: HeaderOperations;
  readonly response?: HeaderOperations;
}

export interface HeaderOperations {
  readonly set?: Readonly<Record<string, string>>;
  readonly add?: Readonly<Record<string, string>>;
  readonly remove?: readonly string[];
}

export interface RouteDestination {
  readonly destination?: DestinationSpec;
  readonly weight?: number;
  readonly headers?: HeadersSpec;
}

export interface VsMatch {
  readonly name?: string;
  readonly uri?: StringMatchSpec;
  readonly scheme?: StringMatchSpec;
  readonly method?: StringMatchSpec;
  readonly authority?: StringMatchSpec;
  readonly headers?: Readonly<Record<string, StringMatchSpec>>;
  readonly withoutHeaders?: Readonly<Record<string, StringMatchSpec>>;
  readonly queryParams?: Readonly<Record<string, StringMatchSpec>>;
  readonly port?: number;
  readonly ignoreUriCase?: boolean;
  readonly sourceNamespace?: string;
  readonly sourceLabels?: Readonly<Record<string, string>>;
  readonly gateways?: readonly string[];
}

interface Percentage {
  readonly percentage?: { readonly value?: number };
  readonly percent?: number;
}

export interface VsHttpRoute {
  readonly name?: string;
  readonly match?: readonly VsMatch[];
  readonly route?: readonly RouteDestination[];
  readonly redirect?: {
    readonly uri?: string;
    readonly prefixRewrite?: string;
    readonly authority?: string;
    readonly scheme?: string;
    readonly port?: number;
    readonly derivePort?: string;
    readonly redirectCode?: number;
  };
  readonly directResponse?: {
    readonly status?: number;
    readonly body?: { readonly string?: string; readonly bytes?: string };
  };
  readonly delegate?: { readonly name?: string; readonly namespace?: string };
  readonly rewrite?: {
    readonly uri?: string;
    readonly authority?: string;
    readonly uriRegexRewrite?: { readonly match?: string; readonly rewrite?: string };
  };
  readonly timeout?: string;
  readonly retries?: {
    readonly attempts?: number;
    readonly perTryTimeout?: string;
    readonly retryOn?: string;
    readonly retryRemoteLocalities?: boolean;
    readonly retryIgnorePreviousHosts?: boolean;
    readonly backoff?: string;
  };
  readonly fault?: {
    readonly delay?: Percentage & { readonly fixedDelay?: string };
    readonly abort?: Percentage & { readonly httpStatus?: number; readonly grpcStatus?: string };
  };
  readonly mirror?: DestinationSpec;
  readonly mirrorPercentage?: { readonly value?: number };
  readonly mirrors?: readonly {
    readonly destination?: DestinationSpec;
    readonly percentage?: { readonly value?: number };
  }[];
  readonly corsPolicy?: {
    readonly allowOrigins?: readonly StringMatchSpec[];
    readonly allowMethods?: readonly string[];
    readonly allowHeaders?: readonly string[];
    readonly exposeHeaders?: readonly string[];
    readonly maxAge?: string;
    readonly allowCredentials?: boolean;
    readonly unmatchedPreflights?: string;
  };
  readonly headers?: HeadersSpec;
}

export interface StreamMatch {
  readonly port?: number;
  readonly sniHosts?: readonly string[];
  readonly destinationSubnets?: readonly string[];
  readonly sourceNamespace?: string;
  readonly sourceLabels?: Readonly<Record<string, string>>;
  readonly gateways?: readonly string[];
}

export interface VsStreamRoute {
  readonly match?: readonly StreamMatch[];
  readonly route?: readonly RouteDestination[];
}

export interface VirtualService extends CustomObject {
  readonly spec?: {
    readonly hosts?: readonly string[];
    readonly gateways?: readonly string[];
    readonly http?: readonly VsHttpRoute[];
    readonly tls?: readonly VsStreamRoute[];
    readonly tcp?: readonly VsStreamRoute[];
    readonly exportTo?: readonly string[];
  } & Readonly<Record<string, unknown>>;
}
