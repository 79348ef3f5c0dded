// SPDX-License-Identifier: Apache-2.0
// Where certificates come from: the mesh's authority over gRPC, or with FAKE_CA the built-in test authority.
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { CaClient } from '#lib/identity/ca-client.ts';
import { assembleCertificate } from '#lib/identity/certificate.ts';
import { generateKey, keyToPem } from '#lib/identity/key.ts';
import type { Issue } from '#lib/identity/secret-manager.ts';
import { createTestAuthority } from '#lib/identity/test-authority.ts';
import type { Clock } from '#lib/kit/clock.ts';
import { AmbitError } from '#lib/kit/error.ts';
import type { Logger } from '#lib/kit/log.ts';
import { formatProblem } from '#lib/kit/result.ts';
import { channelCredentials, channelOptions } from '#lib/xds/client.ts';
import { rootFile, type ServerSettings, serverEndpoint } from '../source/server-access.ts';
import { watchFile } from '../source/watch-file.ts';

export interface IssuerSettings {
  readonly fakeCa: boolean;
  readonly ca: ServerSettings;
  readonly authToken: string;
  readonly clusterId: string;
  readonly secretTtlMs: number;
  /** Whether certificates are for others than the caller: node proxies ask for those of their pods. */
  readonly impersonate: boolean;
  /** Folder with a certificate that somebody else keeps fresh; then no authority is asked. */
  readonly certDir?: string | undefined;
}

export interface Issuer {
  readonly issue: Issue;
  close(): void;
}

export async function createIssuer(config: IssuerSettings, log: Logger, clock: Clock): Promise<Issuer> {
  if (config.certDir !== undefined) return fileIssuer(config.certDir);
  return config.fakeCa ? await testIssuer(config, log, clock) : caIssuer(config, log, clock);
}

function caIssuer(config: IssuerSettings, log: Logger, clock: Clock): Issuer {
  const endpoint = serverEndpoint(config.ca, { authToken: config.authToken, clusterId: config.clusterId });
  const client = new CaClient({
    target: endpoint.target,
    credentials: () => channelCredentials(endpoint),
    headers: endpoint.headers,
    channelOptions: channelOptions(endpoint),
    ttlMs: config.secretTtlMs,
    impersonate: config.impersonate,
  });
  const stopWatching = watchRoots(rootFile(config.ca), log, clock, () => client.rootChanged());
  return {
    issue: (identity, signal) => client.issue(identity, signal),
    close: () => {
      stopWatching();
      client.close();
    },
  };
}

function watchRoots(file: string | undefined, log: Logger, clock: Clock, changed: () => void): () => void {
  if (file === undefined) return () => {};
  return watchFile(file, { clock, log }, () => {
    log.info('roots of the certificate authority changed', { file });
    changed();
  });
}

/** The files as Istio's tools write them, read for each certificate that is wanted: whoever renews them does so before their half life. */
function fileIssuer(folder: string): Issuer {
  return {
    issue: async (identity) => {
      const [chain, key, roots] = await Promise.all(
        ['cert-chain.pem', 'key.pem', 'root-cert.pem'].map((name) => readFile(join(folder, name), 'utf8')),
      );
      const result = assembleCertificate(identity, key!, [chain!, roots!], true);
      if (result.ok) return result.value;
      throw new AmbitError('CERTIFICATE_FILES', `${folder}: ${result.problems.map(formatProblem).join('; ')}`, {
        advice: 'write cert-chain.pem (leaf first), key.pem and root-cert.pem for the workload in PROXY_WORKLOAD_INFO',
      });
    },
    close: () => {},
  };
}

async function testIssuer(config: IssuerSettings, log: Logger, clock: Clock): Promise<Issuer> {
  log.warn(
    'FAKE_CA is on: certificates come from a built-in test authority whose key is public; anybody can forge them',
  );
  const authority = await createTestAuthority();
  return {
    issue: async (identity) => {
      const keys = await generateKey();
      const request = { publicKey: keys.publicKey, uris: [identity], ttlMs: config.secretTtlMs };
      const answer = await authority.sign(request, clock.now());
      const result = assembleCertificate(identity, await keyToPem(keys.privateKey), answer, true);
      if (!result.ok) throw new AmbitError('CA_ANSWER', result.problems[0]!.message);
      return result.value;
    },
    close: () => {},
  };
}
