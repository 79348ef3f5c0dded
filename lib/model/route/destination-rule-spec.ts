// SPDX-License-Identifier: Apache-2.0
//
// What the model reads of DestinationRules (networking.istio.io/v1).

import type { CustomObject, Selector } from '../object/object.ts';

export interface LocalitySpec {
  readonly enabled?: boolean;
  readonly distribute?: readonly { readonly from?: string; readonly to?: Readonly<Record<string, number>> }[];
  readonly failover?: readonly { readonly from?: string; readonly to?: string }[];
  readonly failoverPriority?: readonly string[];
}

export interface LoadBalancerSpec {
  readonly simple?: string;
  readonly consistentHash?: {
    readonly httpHeaderName?: string;
    readonly httpCookie?: {
      readonly name?: string;
      readonly path?: string;
      readonly ttl?: string;
      readonly attributes?: readonly { readonly name?: string; readonly value?: string }[];
    };
    readonly useSourceIp?: boolean;
    readonly httpQueryParameterName?: string;
    readonly minimumRingSize?: number;
    readonly ringHash?: { readonly minimumRingSize?: number };
    readonly maglev?: { readonly tableSize?: number };
  };
  readonly localityLbSetting?: LocalitySpec;
  readonly warmup?: { readonly duration?: string; readonly minimumPercent?: number; readonly aggression?: number };
  readonly warmupDurationSecs?: string;
}

export interface ConnectionPoolSpec {
  readonly tcp?: {
    readonly maxConnections?: number;
    readonly connectTimeout?: string;
    readonly tcpKeepalive?: { readonly probes?: number; readonly time?: string; readonly interval?: string };
    readonly maxConnectionDuration?: string;
    readonly idleTimeout?: string;
  };
  readonly http?: {
    readonly http1MaxPendingRequests?: number;
    readonly http2MaxRequests?: number;
    readonly maxRequestsPerConnection?: number;
    readonly maxRetries?: number;
    readonly idleTimeout?: string;
    readonly h2UpgradePolicy?: string;
    readonly useClientProtocol?: boolean;
    readonly maxConcurrentStreams?: number;
    readonly http2KeepAlive?: { readonly interval?: string; readonly timeout?: string };
  };
}

export interface OutlierSpec {
  readonly consecutive5xxErrors?: number;
  readonly consecutiveErrors?: number;
  readonly consecutiveGatewayErrors?: number;
  readonly interval?: string;
  readonly baseEjectionTime?: string;
  readonly maxEjectionPercent?: number;
  readonly minHealthPercent?: number;
  readonly splitExternalLocalOriginErrors?: boolean;
  readonly consecutiveLocalOriginFailures?: number;
  readonly outlierDetectionHttpErrorCodes?: readonly (number | string)[];
}

export interface TlsSpec {
  readonly mode?: string;
  readonly clientCertificate?: string;
  readonly privateKey?: string;
  readonly caCertificates?: string;
  readonly credentialName?: string;
  readonly caCrl?: string;
  readonly subjectAltNames?: readonly string[];
  readonly sni?: string;
  readonly insecureSkipVerify?: boolean;
}

export interface TunnelSpec {
  readonly protocol?: string;
  readonly targetHost?: string;
  readonly targetPort?: number;
}

export interface PolicySpec {
  readonly loadBalancer?: LoadBalancerSpec;
  readonly connectionPool?: ConnectionPoolSpec;
  readonly outlierDetection?: OutlierSpec;
  readonly tls?: TlsSpec;
  readonly proxyProtocol?: { readonly version?: string };
  readonly tunnel?: TunnelSpec;
  readonly retryBudget?: {
    readonly percent?: number | { readonly value?: number };
    readonly minRetryConcurrency?: number;
    readonly budgetInterval?: string;
  };
  readonly portLevelSettings?: readonly (Omit<PolicySpec, 'portLevelSettings' | 'tunnel' | 'proxyProtocol'> & {
    readonly port?: { readonly number?: number };
  })[];
}

export interface DestinationRule extends CustomObject {
  readonly spec?: {
    readonly host?: string;
    readonly trafficPolicy?: PolicySpec;
    readonly subsets?: readonly {
      readonly name?: string;
      readonly labels?: Readonly<Record<string, string>>;
      readonly trafficPolicy?: PolicySpec;
    }[];
    readonly exportTo?: readonly string[];
    readonly workloadSelector?: Selector;
  } & Readonly<Record<string, unknown>>;
}
