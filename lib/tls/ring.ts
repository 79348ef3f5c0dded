// SPDX-License-Identifier: Apache-2.0
// The two rings between a session and its socket: an OpenSSL BIO pair whose memory the socket is read into and written from,
// so that ciphertext is never copied by us. Rings begin small, grow once traffic fills them and shrink when idle (trap 14):
// growing and shrinking both mean a new pair while the old one is empty.
import { AmbitError } from '#lib/kit/error.ts';
import { Cell, CTRL, OUT, openssl, outPointer, RepeatedPointer, setOutPointer } from './openssl.ts';

/** Room for one full record with its frame, replies beside it: what an idle or quiet session needs. */
export const SMALL_RING_BYTES = 17 * 1024;
/** What a busy one gets. */
export const LARGE_RING_BYTES = 512 * 1024;

// Kept out of what writers may fill, for what OpenSSL itself may send at any time: key updates and alerts, each under 32
// bytes. More than this at once makes reading wait for the socket (`TlsSession.wantsRoom`), never a write (trap 1).
const RESERVE_BYTES = 512;
export const RECORD_BYTES = 16 * 1024;
/** Header, content type and tag of one TLS 1.3 record. */
export const RECORD_OVERHEAD = 22;

const secondCell = new Cell(8);
const secondView = new BigUint64Array(secondCell.bytes.buffer);

export class Ring {
  readonly #ssl: bigint;
  /** OpenSSL's end, owned by the SSL. */
  #inner = 0n;
  /** The socket's end, owned by us. */
  #outer = 0n;
  #size = 0;
  readonly #inbound = new RepeatedPointer();
  readonly #outbound = new RepeatedPointer();

  constructor(ssl: bigint) {
    this.#ssl = ssl;
    this.#make(SMALL_RING_BYTES);
  }

  get size(): number {
    return this.#size;
  }

  /** Addresses for the socket calls, valid until the next call on this session. */
  get inboundPointer(): bigint {
    return this.#inbound.value;
  }

  get outboundPointer(): bigint {
    return this.#outbound.value;
  }

  /** Contiguous bytes free for ciphertext from the socket, at `inboundPointer`. */
  inboundRoom(): number {
    const room = openssl.BIO_nwrite0(this.#outer, OUT);
    if (room <= 0) return 0;
    this.#inbound.read();
    return room;
  }

  /** Hands `n` bytes that lie at `inboundPointer` to OpenSSL. */
  commit(n: number): void {
    if (openssl.BIO_nwrite(this.#outer, OUT, n) !== n)
      throw new AmbitError('TLS_RING', `ring took less than ${n} bytes`);
  }

  /** Ciphertext OpenSSL has not consumed yet. */
  inboundPending(): number {
    return openssl.BIO_ctrl_pending(this.#inner);
  }

  /** Contiguous bytes of ciphertext for the socket, at `outboundPointer`. */
  outboundPending(): number {
    const pending = openssl.BIO_nread0(this.#outer, OUT);
    if (pending <= 0) return 0;
    this.#outbound.read();
    return pending;
  }

  /** The socket took `n` bytes. */
  sent(n: number): void {
    if (openssl.BIO_nread(this.#outer, OUT, n) !== n)
      throw new AmbitError('TLS_RING', `ring gave less than ${n} bytes`);
  }

  /** Plaintext bytes that fit whatever else OpenSSL has to say. */
  writeRoom(): number {
    const room = openssl.BIO_ctrl_get_write_guarantee(this.#inner) - RESERVE_BYTES;
    if (room <= RECORD_OVERHEAD) return 0;
    const records = Math.floor(room / (RECORD_BYTES + RECORD_OVERHEAD));
    const rest = room - records * (RECORD_BYTES + RECORD_OVERHEAD) - RECORD_OVERHEAD;
    return records * RECORD_BYTES + (rest > 0 ? rest : 0);
  }

  /** The socket ended: OpenSSL sees it once the ring is empty. */
  shutdown(): void {
    openssl.BIO_ctrl(this.#outer, CTRL.bioShutdownWrite, 0n, 0n);
  }

  /** Another pair of `size` bytes each way, if both rings are empty; false when they are not. */
  resize(size: number): boolean {
    if (size === this.#size) return true;
    if (openssl.BIO_ctrl_pending(this.#outer) !== 0 || openssl.BIO_ctrl_pending(this.#inner) !== 0) return false;
    const old = this.#outer;
    this.#make(size);
    openssl.BIO_free(old);
    return true;
  }

  /** Frees the socket's end; the SSL frees the other. */
  dispose(): void {
    openssl.BIO_free(this.#outer);
    this.#outer = 0n;
    this.#inner = 0n;
  }

  #make(size: number): void {
    setOutPointer(0n);
    const made = openssl.BIO_new_bio_pair(OUT, BigInt(size), secondCell.pointer, BigInt(size));
    if (made !== 1) throw new AmbitError('TLS_OPENSSL', `no memory for TLS rings of ${size} bytes`);
    this.#inner = outPointer();
    this.#outer = secondView[0]!;
    this.#size = size;
    openssl.SSL_set_bio(this.#ssl, this.#inner, this.#inner);
  }
}
