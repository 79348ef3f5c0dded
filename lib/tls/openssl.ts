// SPDX-License-Identifier: Apache-2.0
// The table of OpenSSL functions that the pinned Node binary exports, each declared once. Many of OpenSSL's documented
// "functions" are macros over SSL_CTX_ctrl and BIO_ctrl: their numbers stand in CTRL, from ssl.h and bio.h of OpenSSL 3.5.
// A pin of Node is a pin of OpenSSL: `openssl.test.ts` fails when either moves.
import { dlopen, getRawPointer, getUint8, toString as readCString, setUint8, setUint64 } from 'node:ffi';
import { big } from '#lib/linux/big.ts';

const int = 'int32';
const uint = 'uint32';
const long = 'int64';
const ptr = 'uint64';
const text = 'string';

// With a number type among the arguments node:ffi puts a checking wrapper around a function: 30 to 110 ns a call and, for four
// arguments, garbage. Two or more arguments that are all `pointer` come bare: 7 to 14 ns. So the functions of the hot path are
// declared with pointers only, given as kept bigints; those of one argument get a second that C ignores.
const bare = 'pointer';

const library = dlopen(null, {
  /** mallopt(3). */
  mallopt: { return: int, arguments: [int, int] },
  OpenSSL_version: { return: 'pointer', arguments: [int] },
  ERR_clear_error: { return: 'void', arguments: [] },
  ERR_get_error: { return: ptr, arguments: [] },
  ERR_error_string_n: { return: 'void', arguments: [ptr, ptr, ptr] },
  TLS_method: { return: ptr, arguments: [] },
  SSL_CTX_new: { return: ptr, arguments: [ptr] },
  SSL_CTX_free: { return: 'void', arguments: [ptr] },
  SSL_CTX_ctrl: { return: long, arguments: [ptr, int, long, ptr] },
  SSL_CTX_set_options: { return: ptr, arguments: [ptr, ptr] },
  SSL_CTX_use_certificate: { return: int, arguments: [ptr, ptr] },
  SSL_CTX_use_PrivateKey: { return: int, arguments: [ptr, ptr] },
  SSL_CTX_check_private_key: { return: int, arguments: [ptr] },
  SSL_CTX_get_cert_store: { return: ptr, arguments: [ptr] },
  SSL_CTX_set_verify: { return: 'void', arguments: [ptr, int, ptr] },
  SSL_CTX_set_verify_depth: { return: 'void', arguments: [ptr, int] },
  SSL_CTX_set_ciphersuites: { return: int, arguments: [ptr, text] },
  SSL_CTX_set_cipher_list: { return: int, arguments: [ptr, text] },
  SSL_CTX_set_num_tickets: { return: int, arguments: [ptr, ptr] },
  SSL_CTX_set_alpn_protos: { return: int, arguments: [ptr, ptr, uint] },
  SSL_CTX_set_alpn_select_cb: { return: 'void', arguments: [ptr, ptr, ptr] },
  X509_STORE_add_cert: { return: int, arguments: [ptr, ptr] },
  X509_free: { return: 'void', arguments: [ptr] },
  X509_verify_cert_error_string: { return: 'pointer', arguments: [long] },
  d2i_X509: { return: ptr, arguments: [ptr, ptr, long] },
  i2d_X509: { return: int, arguments: [ptr, ptr] },
  d2i_AutoPrivateKey: { return: ptr, arguments: [ptr, ptr, long] },
  EVP_PKEY_free: { return: 'void', arguments: [ptr] },
  OPENSSL_sk_num: { return: int, arguments: [ptr] },
  OPENSSL_sk_value: { return: ptr, arguments: [ptr, int] },
  SSL_ctrl: { return: long, arguments: [ptr, int, long, ptr] },
  SSL_new: { return: ptr, arguments: [ptr] },
  SSL_free: { return: 'void', arguments: [ptr] },
  SSL_set_bio: { return: 'void', arguments: [ptr, ptr, ptr] },
  SSL_set_connect_state: { return: 'void', arguments: [ptr] },
  SSL_set_accept_state: { return: 'void', arguments: [ptr] },
  SSL_shutdown: { return: int, arguments: [ptr] },
  SSL_pending: { return: int, arguments: [ptr] },
  SSL_key_update: { return: int, arguments: [ptr, int] },
  SSL_get_verify_result: { return: long, arguments: [ptr] },
  SSL_get0_peer_certificate: { return: ptr, arguments: [ptr] },
  SSL_get0_verified_chain: { return: ptr, arguments: [ptr] },
  SSL_get0_alpn_selected: { return: 'void', arguments: [ptr, ptr, ptr] },
  BIO_new_bio_pair: { return: int, arguments: [ptr, ptr, ptr, ptr] },
  BIO_free: { return: int, arguments: [ptr] },
  BIO_ctrl: { return: long, arguments: [ptr, int, long, ptr] },
  SSL_do_handshake: { return: int, arguments: [bare, bare] },
  SSL_read: { return: int, arguments: [bare, bare, bare] },
  SSL_write: { return: int, arguments: [bare, bare, bare] },
  SSL_get_error: { return: int, arguments: [bare, bare] },
  SSL_in_init: { return: int, arguments: [bare, bare] },
  BIO_ctrl_pending: { return: int, arguments: [bare, bare] },
  BIO_ctrl_get_write_guarantee: { return: int, arguments: [bare, bare] },
  BIO_nwrite0: { return: int, arguments: [bare, bare] },
  BIO_nwrite: { return: int, arguments: [bare, bare, bare] },
  BIO_nread0: { return: int, arguments: [bare, bare] },
  BIO_nread: { return: int, arguments: [bare, bare, bare] },
  ERR_peek_error: { return: int, arguments: [bare, bare] },
});

// A copy: what node:ffi returns is an object in dictionary mode, whose functions V8 does not inline.
const raw = { ...library.functions };

/** OpenSSL's functions, with C's parameters. Everything that can fail is called as `errors.ts` tells. */
export const openssl = {
  ...raw,
  /** Empties the error queue; looking costs a tenth of clearing, and it is all but always empty. */
  ERR_clear_error: (): void => {
    if (raw.ERR_peek_error(0n, 0n) !== 0) raw.ERR_clear_error();
  },
  SSL_do_handshake: (ssl: bigint) => raw.SSL_do_handshake(ssl, 0n),
  SSL_read: (ssl: bigint, into: bigint, max: number) => raw.SSL_read(ssl, into, big(max)),
  SSL_write: (ssl: bigint, from: bigint, length: number) => raw.SSL_write(ssl, from, big(length)),
  SSL_get_error: (ssl: bigint, result: number) => raw.SSL_get_error(ssl, big(result)),
  SSL_in_init: (ssl: bigint) => raw.SSL_in_init(ssl, 0n),
  BIO_ctrl_pending: (bio: bigint) => raw.BIO_ctrl_pending(bio, 0n),
  BIO_ctrl_get_write_guarantee: (bio: bigint) => raw.BIO_ctrl_get_write_guarantee(bio, 0n),
  BIO_nwrite: (bio: bigint, out: bigint, length: number) => raw.BIO_nwrite(bio, out, big(length)),
  BIO_nread: (bio: bigint, out: bigint, length: number) => raw.BIO_nread(bio, out, big(length)),
};

/** Commands of SSL_CTX_ctrl, SSL_ctrl and BIO_ctrl, and the values they take. */
export const CTRL = {
  setMode: 33,
  setServerName: 55,
  setSessionCacheMode: 44,
  setMaxCertList: 51,
  chainCertificate: 89,
  setGroupsList: 92,
  setMinVersion: 123,
  setMaxVersion: 124,
  bioShutdownWrite: 142,
} as const;

export const TLS_1_2 = 0x0303n;
export const TLS_1_3 = 0x0304n;
/** SSL_MODE_AUTO_RETRY | SSL_MODE_RELEASE_BUFFERS. Neither partial writes nor moving write buffers: trap 1. */
export const SSL_MODES = 0x14n;
/**
 * SSL_OP_NO_TICKET | SSL_OP_CIPHER_SERVER_PREFERENCE | SSL_OP_NO_COMPRESSION | SSL_OP_NO_RENEGOTIATION |
 * SSL_OP_NO_TX_CERTIFICATE_COMPRESSION | SSL_OP_NO_RX_CERTIFICATE_COMPRESSION. A compressed certificate (RFC 8879) saves 100 octets
 * and costs a client four times the rest of its handshake: Brotli at its best, for each anew.
 */
export const SSL_OPTIONS = (1n << 14n) | (1n << 22n) | (1n << 17n) | (1n << 30n) | (1n << 32n) | (1n << 33n);
/** SSL_VERIFY_PEER | SSL_VERIFY_FAIL_IF_NO_PEER_CERT. */
export const VERIFY_PEER = 3;
export const VERIFY_NONE = 0;

/** Results of SSL_get_error. */
export const SSL_ERROR = { none: 0, ssl: 1, wantRead: 2, wantWrite: 3, syscall: 5, zeroReturn: 6 } as const;

/** Memory whose address OpenSSL may be given: owner and pointer live together (trap 4). */
export class Cell {
  readonly bytes: Uint8Array;
  readonly pointer: bigint;

  constructor(length: number) {
    const buffer = new ArrayBuffer(length);
    this.bytes = new Uint8Array(buffer);
    this.pointer = getRawPointer(buffer);
  }

  static of(bytes: Uint8Array): Cell {
    const cell = new Cell(Math.max(1, bytes.length));
    cell.bytes.set(bytes);
    return cell;
  }
}

/** Eight bytes that OpenSSL writes a pointer or a length into. One set for the thread: no call here re-enters another. */
const outCell = new Cell(8);
const outView = new BigUint64Array(outCell.bytes.buffer);
const outWords = new Int32Array(outCell.bytes.buffer);
export const OUT = outCell.pointer;
export const outPointer = (): bigint => outView[0]!;
export const setOutPointer = (value: bigint): void => {
  outView[0] = value;
};

/** A pointer that OpenSSL writes again and again, mostly the same: reading it anew costs garbage. */
export class RepeatedPointer {
  value = 0n;
  #low = 0;
  #high = 0;

  /** Takes over what OpenSSL wrote. */
  read(): void {
    const [low, high] = [outWords[0]!, outWords[1]!];
    if (low === this.#low && high === this.#high) return;
    this.#low = low;
    this.#high = high;
    this.value = outPointer();
  }
}

/** Text of a C string that OpenSSL owns. */
export const cText = (pointer: bigint): string => readCString(pointer) ?? '';

/** `OpenSSL 3.5.8 …` of the running binary. */
export const opensslVersion = (): string => cText(openssl.OpenSSL_version(0));

const M_MMAP_THRESHOLD = -3;
const LARGE_BLOCK_BYTES = 128 * 1024;
let tuned = false;

/**
 * Has malloc map large blocks by themselves for good. It raises that limit to the largest block it ever freed, after which rings of
 * half a megabyte would lie among small blocks of sessions that live on, and never go back to the system (trap 14).
 */
export function keepLargeBlocksApart(): void {
  if (tuned) return;
  tuned = true;
  openssl.mallopt(M_MMAP_THRESHOLD, LARGE_BLOCK_BYTES);
}

// The protocol list "h2" of RFC 7301; the callback answers with a pointer into it, so it lives as long as the process.
const H2 = Cell.of(new Uint8Array([2, 0x68, 0x32]));
const H2_NAME = H2.pointer + 1n;
export const ALPN_H2 = H2;
export const ALPN_HTTP1: Cell = Cell.of(Buffer.from('\u0008http/1.1', 'latin1'));
const SELECTED = 0;
const ALERT_FATAL = 2;
let alpnCallback = 0n;

/**
 * The one native callback of the process (trap 7): picks `h2` when the client offers it and refuses otherwise. It is made on
 * first use, never unregistered, and its library is held by this module; it allocates nothing that could fail, and cannot throw.
 */
export function alpnSelectCallback(): bigint {
  if (alpnCallback === 0n) {
    alpnCallback = library.lib.registerCallback(
      { return: 'int32', arguments: ['uint64', 'uint64', 'uint64', 'uint64', 'uint32', 'uint64'] },
      (_ssl, out, outLength, offered, offeredLength) => {
        for (let at = 0; at + 2 < offeredLength; at += 1 + getUint8(offered, at)) {
          if (getUint8(offered, at) !== 2 || getUint8(offered, at + 1) !== 0x68 || getUint8(offered, at + 2) !== 0x32)
            continue;
          setUint64(out, 0, H2_NAME);
          setUint8(outLength, 0, 2);
          return SELECTED;
        }
        return ALERT_FATAL;
      },
    );
  }
  return alpnCallback;
}
