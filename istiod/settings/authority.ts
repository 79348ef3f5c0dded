// SPDX-License-Identifier: Apache-2.0
// The certificate authority: its root, what it signs, and istiod's own certificate.
import type { Given } from './given.ts';

const HOUR_MS = 3_600_000;

export function readAuthority({ env, flags }: Given) {
  const settings = {
    defaultCertificateTtlMs: env.duration('DEFAULT_WORKLOAD_CERT_TTL', 24 * HOUR_MS),
    maxCertificateTtlMs: env.duration('MAX_WORKLOAD_CERT_TTL', 2160 * HOUR_MS),
    rootTtlMs: env.duration('CITADEL_SELF_SIGNED_CA_CERT_TTL', 87_600 * HOUR_MS),
    /** How often the root's age is looked at. */
    rootCheckMs: env.duration('CITADEL_SELF_SIGNED_ROOT_CERT_CHECK_INTERVAL', HOUR_MS),
    /** The root is renewed when less of its life is left, in percent. */
    rootGracePercent: env.integer('CITADEL_SELF_SIGNED_ROOT_CERT_GRACE_PERIOD_PERCENTILE', 20, { max: 100 }),
    /** Signer of a Kubernetes CertificateSigningRequest that signs in our stead; empty for none. */
    externalSigner: env.string('EXTERNAL_CA', '') === 'ISTIOD_RA_KUBERNETES_API' ? env.string('K8S_SIGNER', '') : '',
    /** Domain of the signers among which callers may choose; empty for none. */
    signerDomain: env.string('CERT_SIGNER_DOMAIN', ''),
    /** Folder of a plugged-in certificate authority. */
    caFolder: env.string('ROOT_CA_DIR', '/etc/cacerts'),
    /** Whether a root of our own is kept in the Secret `cacerts`, marked as ours. */
    rootInPluggedSecret: env.boolean('USE_CACERTS_FOR_SELF_SIGNED_CA', false),
    /** Whether the root is published as a ClusterTrustBundle, too. */
    writeTrustBundle: env.boolean('ENABLE_CLUSTER_TRUST_BUNDLE_API', false),
    /** istiod's own certificate, where an operator has it made. */
    servingFiles: {
      certificate: flags['tlsCertFile'] ?? '/var/run/secrets/istiod/tls/tls.crt',
      key: flags['tlsKeyFile'] ?? '/var/run/secrets/istiod/tls/tls.key',
    },
    /** More names for istiod's own certificate. */
    customHosts: env.list('ISTIOD_CUSTOM_HOST'),
    rootConfigMap: env.string('PILOT_CA_CERT_CONFIGMAP', 'istio-ca-root-cert'),
    crlConfigMap: env.string('PILOT_CRL_CONFIGMAP', 'istio-ca-crl'),
  };
  if (settings.defaultCertificateTtlMs > settings.maxCertificateTtlMs) {
    env.problem('DEFAULT_WORKLOAD_CERT_TTL', 'is longer than MAX_WORKLOAD_CERT_TTL', 'lower it, or raise the maximum');
  }
  if (env.string('EXTERNAL_CA', '') !== '' && settings.externalSigner === '') {
    env.problem('EXTERNAL_CA', 'names no signer', 'set EXTERNAL_CA=ISTIOD_RA_KUBERNETES_API and K8S_SIGNER=<signer>');
  }
  return settings;
}
