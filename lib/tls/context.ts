// SPDX-License-Identifier: Apache-2.0
// One SSL_CTX per identity and trust bundle. It is never changed after `create`: a renewed certificate or another bundle is
// another context, so that no session ever judges by half-changed material. No tickets, no session cache: a resumed
// session would skip the verification of its peer (trap 9).
import { AmbitError } from '#lib/kit/error.ts';
import { decodePem, pemBlocks } from '#lib/wire/pem.ts';
import { checked } from './errors.ts';
import {
  ALPN_H2,
  ALPN_HTTP1,
  alpnSelectCallback,
  Cell,
  CTRL,
  keepLargeBlocksApart,
  OUT,
  openssl,
  SSL_MODES,
  SSL_OPTIONS,
  setOutPointer,
  TLS_1_2,
  TLS_1_3,
  VERIFY_NONE,
  VERIFY_PEER,
} from './openssl.ts';

export type Alpn = 'h2' | 'http/1.1' | '';

export interface TlsContextOptions {
  /** Leaf first, then intermediates; never the root. undefined for a client that shows none. */
  readonly certificateChainPem: string | undefined;
  /** PKCS#8 or SEC1; undefined where no certificate is shown. */
  readonly privateKeyPem: string | undefined;
  /** Every trusted root, concatenated; undefined for a client that believes any server. */
  readonly rootsPem: string | undefined;
  /** The protocol that both sides must agree on; http/1.1 is offered and not insisted on, '' is not spoken of. */
  readonly alpn: Alpn;
  /** OpenSSL's group list, such as `X25519MLKEM768`; unset means the library's default order. */
  readonly groups?: string;
  /** Also speak TLS 1.2, for peers that know nothing newer. Default: 1.3 alone. */
  readonly tls12?: boolean;
  /** Records after which a direction gets new keys. AES-GCM's limit is 2^24.5 full records (RFC 8446 section 5.5). */
  readonly rekeyRecords?: number;
}

const DEFAULT_REKEY_RECORDS = 2 ** 24;
/** TLS 1.3 suites in order of preference: both are beyond reach, and the first costs a third less processor time. */
const CIPHERS = 'TLS_AES_128_GCM_SHA256:TLS_AES_256_GCM_SHA384';
/** TLS 1.2 suites, where that is allowed: ephemeral keys and AES-GCM only. */
const CIPHERS_1_2 =
  'ECDHE-ECDSA-AES256-GCM-SHA384:ECDHE-ECDSA-AES128-GCM-SHA256:ECDHE-RSA-AES256-GCM-SHA384:ECDHE-RSA-AES128-GCM-SHA256';
/** Intermediates between leaf and root; meshes use none or one. */
const VERIFY_DEPTH = 4;
const MAX_CHAIN_BYTES = 64n * 1024n;
const isSet = (pointer: bigint): boolean => pointer !== 0n;
const isOne = (result: number | bigint): boolean => Number(result) === 1;

export class TlsContext {
  /** The SSL_CTX; 0 after `dispose`. Sessions hold references of their own. */
  #pointer: bigint;
  readonly rekeyRecords: number;
  readonly alpn: Alpn;
  /** Sessions prove who the peer is. */
  readonly verifies: boolean;

  private constructor(pointer: bigint, rekeyRecords: number, alpn: Alpn, verifies: boolean) {
    this.#pointer = pointer;
    this.alpn = alpn;
    this.verifies = verifies;
    this.rekeyRecords = rekeyRecords;
  }

  get pointer(): bigint {
    if (this.#pointer === 0n) throw new AmbitError('TLS_DISPOSED', 'TLS context used after its end');
    return this.#pointer;
  }

  /** Throws TLS_OPENSSL or TLS_MATERIAL, naming what was wrong with the material. */
  static create(options: TlsContextOptions): TlsContext {
    keepLargeBlocksApart();
    const context = checked('SSL_CTX_new', () => openssl.SSL_CTX_new(openssl.TLS_method()), isSet);
    try {
      setUp(context, options);
      const { certificateChainPem, privateKeyPem = '' } = options;
      if (certificateChainPem !== undefined) loadIdentity(context, certificateChainPem, privateKeyPem);
      if (options.rootsPem !== undefined) loadRoots(context, options.rootsPem);
    } catch (error) {
      openssl.SSL_CTX_free(context);
      throw error;
    }
    const { alpn, rekeyRecords = DEFAULT_REKEY_RECORDS, rootsPem } = options;
    return new TlsContext(context, rekeyRecords, alpn, rootsPem !== undefined);
  }

  /** Gives up this reference; sessions made from it live on. May be called twice. */
  dispose(): void {
    if (this.#pointer === 0n) return;
    openssl.SSL_CTX_free(this.#pointer);
    this.#pointer = 0n;
  }
}

function setUp(context: bigint, { alpn, groups, rootsPem, tls12 = false }: TlsContextOptions): void {
  const ctrl = (what: string, command: number, value: bigint): bigint =>
    checked(what, () => openssl.SSL_CTX_ctrl(context, command, value, 0n), isOne);
  ctrl('SSL_CTX_set_min_proto_version', CTRL.setMinVersion, tls12 ? TLS_1_2 : TLS_1_3);
  ctrl('SSL_CTX_set_max_proto_version', CTRL.setMaxVersion, TLS_1_3);
  openssl.SSL_CTX_ctrl(context, CTRL.setMode, SSL_MODES, 0n);
  openssl.SSL_CTX_ctrl(context, CTRL.setSessionCacheMode, 0n, 0n);
  openssl.SSL_CTX_ctrl(context, CTRL.setMaxCertList, MAX_CHAIN_BYTES, 0n);
  openssl.SSL_CTX_set_options(context, SSL_OPTIONS);
  openssl.SSL_CTX_set_verify(context, rootsPem === undefined ? VERIFY_NONE : VERIFY_PEER, 0n);
  openssl.SSL_CTX_set_verify_depth(context, VERIFY_DEPTH);
  checked('SSL_CTX_set_num_tickets', () => openssl.SSL_CTX_set_num_tickets(context, 0n), isOne);
  checked('SSL_CTX_set_ciphersuites', () => openssl.SSL_CTX_set_ciphersuites(context, CIPHERS), isOne);
  checked('SSL_CTX_set_cipher_list', () => openssl.SSL_CTX_set_cipher_list(context, CIPHERS_1_2), isOne);
  // This one call of the family returns 0 on success (trap 26).
  const protocols = alpn === 'http/1.1' ? ALPN_HTTP1 : ALPN_H2;
  if (alpn !== '') {
    checked(
      'SSL_CTX_set_alpn_protos',
      () => openssl.SSL_CTX_set_alpn_protos(context, protocols.pointer, protocols.bytes.length),
      (result) => result === 0,
    );
  }
  openssl.SSL_CTX_set_alpn_select_cb(context, alpnSelectCallback(), 0n);
  if (groups === undefined) return;
  const list = Cell.of(Buffer.from(`${groups}\0`));
  checked('SSL_CTX_set1_groups_list', () => openssl.SSL_CTX_ctrl(context, CTRL.setGroupsList, 0n, list.pointer), isOne);
  list.bytes.fill(0);
}

function loadIdentity(context: bigint, certificateChainPem: string, privateKeyPem: string): void {
  const [leaf, ...intermediates] = pemBlocks(certificateChainPem, 'CERTIFICATE');
  if (leaf === undefined) throw new AmbitError('TLS_MATERIAL', 'certificate chain holds no CERTIFICATE block');
  withCertificate(leaf, (pointer) =>
    checked('SSL_CTX_use_certificate', () => openssl.SSL_CTX_use_certificate(context, pointer), isOne),
  );
  for (const der of intermediates) {
    withCertificate(der, (pointer) =>
      checked(
        'SSL_CTX_add1_chain_cert',
        () => openssl.SSL_CTX_ctrl(context, CTRL.chainCertificate, 1n, pointer),
        isOne,
      ),
    );
  }
  const key = decodePem(privateKeyPem).find(({ label }) => label.endsWith('PRIVATE KEY'));
  if (key === undefined) throw new AmbitError('TLS_MATERIAL', 'private key holds no PRIVATE KEY block');
  const source = Cell.of(key.der);
  try {
    setOutPointer(source.pointer);
    const pointer = checked(
      'reading the private key',
      () => openssl.d2i_AutoPrivateKey(0n, OUT, BigInt(key.der.length)),
      isSet,
    );
    try {
      checked('SSL_CTX_use_PrivateKey', () => openssl.SSL_CTX_use_PrivateKey(context, pointer), isOne);
    } finally {
      openssl.EVP_PKEY_free(pointer);
    }
  } finally {
    source.bytes.fill(0);
    key.der.fill(0);
  }
  checked('matching private key and certificate', () => openssl.SSL_CTX_check_private_key(context), isOne);
}

function loadRoots(context: bigint, rootsPem: string): void {
  const store = openssl.SSL_CTX_get_cert_store(context);
  const roots = pemBlocks(rootsPem, 'CERTIFICATE');
  if (roots.length === 0) throw new AmbitError('TLS_MATERIAL', 'trust bundle holds no CERTIFICATE block');
  for (const der of roots) {
    withCertificate(der, (pointer) =>
      checked('X509_STORE_add_cert', () => openssl.X509_STORE_add_cert(store, pointer), isOne),
    );
  }
}

function withCertificate(der: Uint8Array, use: (pointer: bigint) => void): void {
  const source = Cell.of(der);
  setOutPointer(source.pointer);
  const pointer = checked('reading a certificate', () => openssl.d2i_X509(0n, OUT, BigInt(der.length)), isSet);
  try {
    use(pointer);
  } finally {
    openssl.X509_free(pointer);
  }
}
