// SPDX-License-Identifier: Apache-2.0
// One TLS 1.3 session without a socket: ciphertext goes in and comes out through rings, plaintext through arenas. Synchronous,
// no callbacks, nothing allocated per record.
//
//   handshaking --done--> open --close_notify or end--> ended
//        \________________________failure______________> failed
//
// Who drives it reads the socket into `inboundPointer`, calls `received`, then `handshake` or `read` until it says 0, and
// after every call looks at `outboundPending`: reading may produce output as well (trap 17).
import { AmbitError } from '#lib/kit/error.ts';
import { fail, ok, type Result } from '#lib/kit/result.ts';
import type { TlsContext } from './context.ts';
import { drainErrors } from './errors.ts';
import { Cell, CTRL, OUT, openssl, outPointer, SSL_ERROR, setOutPointer } from './openssl.ts';
import { judgePeer, type PeerIdentity, type TlsRole } from './peer.ts';
import { LARGE_RING_BYTES, RECORD_BYTES, Ring, SMALL_RING_BYTES } from './ring.ts';
import { SilenceBudget } from './silence-budget.ts';
import { verifiedChain, verifyFailure } from './verified-chain.ts';

export type TlsStep = 'more' | 'done' | 'failed';

/** Results of `read` below zero. */
export const TLS_ENDED = -1;
export const TLS_FAILED = -2;

// Ciphertext handed to OpenSSL at a time: bounds what one SSL_read may spend on records without plaintext (trap 8).
const FEED_BYTES = 32 * 1024;
const KEY_UPDATE_ONLY_OURS = 0;
const KEY_UPDATE_BOTH = 1;

const lengthCell = new Cell(4);
const lengthView = new Uint32Array(lengthCell.bytes.buffer);

const HOST_NAME = 0n;

function nameServer(ssl: bigint, serverName: string): void {
  const name = Cell.of(Buffer.from(`${serverName}\0`, 'latin1'));
  openssl.SSL_ctrl(ssl, CTRL.setServerName, HOST_NAME, name.pointer);
}

type State = 'handshaking' | 'open' | 'ended' | 'failed' | 'disposed';

export class TlsSession {
  readonly role: TlsRole;
  readonly #context: Pick<TlsContext, 'alpn' | 'verifies'>;
  readonly #ssl: bigint;
  readonly #ring: Ring;
  readonly #rekeyRecords: number;
  readonly #silence = new SilenceBudget();
  #state: State = 'handshaking';
  /** Ciphertext already in the ring's memory and not yet handed to OpenSSL. */
  #held = 0;
  /** Ciphertext handed over and not yet consumed. */
  #fed = 0;
  #eof = false;
  #eofPassedOn = false;
  #crowded = false;
  #recordsOut = 0;
  #recordsIn = 0;
  #resizable = true;

  /** Why the session failed, for log and metric; empty while it has not. */
  failure = '';
  /** The peer ended without close_notify: what it said last may be cut short. */
  truncated = false;
  /** `read` or `handshake` waits for outbound room: call it again after `sent`. */
  wantsRoom = false;
  /** Key changes this side has begun. */
  rekeys = 0;

  /** @param serverName whom a client asks for (SNI); '' names nobody */
  constructor(context: TlsContext, role: TlsRole, serverName = '') {
    this.role = role;
    this.#context = context;
    this.#rekeyRecords = context.rekeyRecords;
    this.#ssl = openssl.SSL_new(context.pointer);
    if (this.#ssl === 0n) throw new AmbitError('TLS_OPENSSL', `SSL_new failed: ${drainErrors()}`);
    if (serverName !== '') nameServer(this.#ssl, serverName);
    this.#ring = new Ring(this.#ssl);
    if (role === 'client') openssl.SSL_set_connect_state(this.#ssl);
    else openssl.SSL_set_accept_state(this.#ssl);
  }

  get state(): State {
    return this.#state;
  }

  /** Bytes of one ring. */
  get ringBytes(): number {
    return this.#ring.size;
  }

  // === ciphertext in ===

  /** Bytes the socket may be read into at `inboundPointer`, right after this call; 0 means read plaintext first. */
  inboundRoom(): number {
    if (this.#state === 'disposed') return 0;
    if (this.#crowded && this.#held === 0) this.#grow();
    const room = this.#ring.inboundRoom() - this.#held;
    return room > 0 ? room : 0;
  }

  get inboundPointer(): bigint {
    return this.#held === 0 ? this.#ring.inboundPointer : this.#ring.inboundPointer + BigInt(this.#held);
  }

  /** `n` bytes were read into `inboundPointer`. */
  received(n: number): void {
    this.#held += n;
    if (this.#held >= SMALL_RING_BYTES) this.#crowded = true;
    this.#feed();
  }

  /** The socket's end of stream; plaintext that is still on its way is read first. */
  eof(): void {
    this.#eof = true;
    this.#feed();
  }

  // === handshake ===

  /** Goes on with the handshake as far as the input allows. After `failed`, `failure` says why; the alert waits in the ring. */
  handshake(): TlsStep {
    if (this.#state === 'open') return 'done';
    if (this.#state !== 'handshaking') return 'failed';
    for (;;) {
      openssl.ERR_clear_error();
      const result = openssl.SSL_do_handshake(this.#ssl);
      const error = result === 1 ? SSL_ERROR.none : openssl.SSL_get_error(this.#ssl, result);
      this.#fed = this.#ring.inboundPending();
      if (error === SSL_ERROR.none) return this.#opened();
      this.wantsRoom = error === SSL_ERROR.wantWrite;
      if (error === SSL_ERROR.wantWrite) return 'more';
      if (error === SSL_ERROR.wantRead) {
        if (this.#eof && this.#feed()) continue;
        return 'more';
      }
      this.#failWith(error);
      return 'failed';
    }
  }

  // === plaintext ===

  /**
   * Decrypts up to `max` bytes into `pointer`, which must have that room. More than 0: bytes; 0: nothing now;
   * TLS_ENDED: the peer ended (`truncated` tells how); TLS_FAILED: see `failure`.
   */
  read(pointer: bigint, max: number): number {
    if (this.#state !== 'open') return this.#ending();
    let total = 0;
    while (total < max) {
      openssl.ERR_clear_error();
      const room = max - total;
      const got = openssl.SSL_read(this.#ssl, total === 0 ? pointer : pointer + BigInt(total), room);
      const error = got > 0 ? SSL_ERROR.none : openssl.SSL_get_error(this.#ssl, got);
      const left = this.#ring.inboundPending();
      const tooSilent = this.#silence.exceeded(this.#fed - left, got > 0 ? got : 0);
      this.#fed = left;
      if (got > 0) {
        total += got;
        if (++this.#recordsIn >= this.#rekeyRecords) this.#rekey(KEY_UPDATE_BOTH);
      }
      // An emptied ring begins anew at its first byte, so held bytes would be lost. Ordinary traffic never empties it while
      // some are held: FEED_BYTES are more than a record, and one call takes one record with data.
      if (tooSilent || (left === 0 && this.#held > 0)) {
        this.#failText('peer sent too many records without data');
        break;
      }
      if (this.#held > 0) this.#feed();
      if (got > 0) {
        // Less than the room: the record is used up. With nothing left in the ring another call could only say so.
        if (got < room && left === 0 && !this.#eof) break;
        continue;
      }
      if (error === SSL_ERROR.wantRead) {
        if (this.#eof && this.#feed()) continue;
        break;
      }
      if (error === SSL_ERROR.wantWrite) {
        this.wantsRoom = true;
        break;
      }
      if (error === SSL_ERROR.zeroReturn) this.#state = 'ended';
      else this.#failWith(error);
      break;
    }
    return total > 0 ? total : this.#ending();
  }

  /** Plaintext bytes that `write` takes for certain now. */
  writeRoom(): number {
    if (this.#state !== 'open' || this.wantsRoom) return 0;
    if (this.#crowded) this.#grow();
    return this.#ring.writeRoom();
  }

  /**
   * Encrypts `length` bytes from `pointer`: all of them (`length`), none for want of room (0), or TLS_FAILED. The memory is the
   * caller's again on return in every case; nothing is ever retried from it (trap 1).
   */
  write(pointer: bigint, length: number): number {
    if (this.#state !== 'open') return TLS_FAILED;
    if (length <= 0) return 0;
    if (length > this.writeRoom()) {
      this.#crowded = true;
      return 0;
    }
    if (this.#recordsOut >= this.#rekeyRecords) this.#rekey(KEY_UPDATE_ONLY_OURS);
    openssl.ERR_clear_error();
    const taken = openssl.SSL_write(this.#ssl, pointer, length);
    if (taken === length) {
      this.#recordsOut += Math.ceil(length / RECORD_BYTES);
      if (length > RECORD_BYTES / 2) this.#crowded = true;
      return taken;
    }
    const error = openssl.SSL_get_error(this.#ssl, taken);
    if (error === SSL_ERROR.wantWrite || error === SSL_ERROR.wantRead) {
      // The reserve makes this impossible; were it to happen, a retry could send what the arena holds by then.
      this.#failText('write did not fit into the room that was reserved for it');
    } else this.#failWith(error);
    return TLS_FAILED;
  }

  // === ciphertext out ===

  /** Bytes for the socket at `outboundPointer`, right after this call. They may lie in two pieces: call again after `sent`. */
  outboundPending(): number {
    return this.#state === 'disposed' ? 0 : this.#ring.outboundPending();
  }

  get outboundPointer(): bigint {
    return this.#ring.outboundPointer;
  }

  /** The socket took `n` bytes from `outboundPointer`. */
  sent(n: number): void {
    this.#ring.sent(n);
    this.wantsRoom = false;
  }

  /** Says to the peer that nothing follows; the alert waits in the ring. */
  closeNotify(): void {
    if (this.#state !== 'open' && this.#state !== 'ended') return;
    openssl.ERR_clear_error();
    openssl.SSL_shutdown(this.#ssl);
    openssl.ERR_clear_error();
    this.#resizable = false;
  }

  // === the rest ===

  /** Who the peer proved to be; a refusal names the rule. Only after the handshake is done. */
  peer(): Result<PeerIdentity> {
    if (this.#state !== 'open' && this.#state !== 'ended')
      return fail({ field: 'session', message: 'no handshake yet' });
    const chain = verifiedChain(this.#ssl);
    return chain.ok ? judgePeer(chain.value, this.role === 'client' ? 'server' : 'client') : chain;
  }

  /**
   * The chain by which the peer was verified, leaf first; a refusal names what is wrong with it. For peers that are no part
   * of the mesh: what their names are worth is the caller's to say. Empty where nobody is to be verified.
   */
  peerChain(): Result<readonly Uint8Array[]> {
    return this.#context.verifies ? verifiedChain(this.#ssl) : ok([]);
  }

  /** Gives large rings back when nothing is in them; true when the session is small now. Call it on a slow timer. */
  shrinkIfIdle(): boolean {
    if (this.#state !== 'open') return false;
    this.#crowded = false;
    return this.#resize(SMALL_RING_BYTES);
  }

  /** Frees everything; pointers into the rings are dead. May be called twice. */
  dispose(): void {
    if (this.#state === 'disposed') return;
    this.#state = 'disposed';
    this.#ring.dispose();
    openssl.SSL_free(this.#ssl);
  }

  #opened(): TlsStep {
    this.wantsRoom = false;
    setOutPointer(0n);
    openssl.SSL_get0_alpn_selected(this.#ssl, OUT, lengthCell.pointer);
    if (this.#context.alpn === 'h2' && (outPointer() === 0n || lengthView[0] !== 2)) {
      this.#failText('peer did not agree on ALPN h2');
      return 'failed';
    }
    this.#state = 'open';
    return 'done';
  }

  #ending(): number {
    if (this.#state === 'open' || this.#state === 'handshaking') return 0;
    return this.#state === 'ended' ? TLS_ENDED : TLS_FAILED;
  }

  // Passes on what is held, at most FEED_BYTES in all; true when OpenSSL has something new to look at.
  #feed(): boolean {
    const room = FEED_BYTES - this.#fed;
    const n = this.#held < room ? this.#held : room;
    if (n > 0) {
      this.#ring.commit(n);
      this.#held -= n;
      this.#fed += n;
    }
    if (!this.#eof || this.#eofPassedOn || this.#held > 0) return n > 0;
    this.#eofPassedOn = true;
    this.#resizable = false;
    this.#ring.shutdown();
    return true;
  }

  #rekey(scope: number): void {
    openssl.ERR_clear_error();
    if (openssl.SSL_key_update(this.#ssl, scope) === 1) this.rekeys++;
    openssl.ERR_clear_error();
    this.#recordsOut = 0;
    if (scope === KEY_UPDATE_BOTH) this.#recordsIn = 0;
  }

  #grow(): void {
    if (this.#ring.size === LARGE_RING_BYTES || this.#resize(LARGE_RING_BYTES)) this.#crowded = false;
  }

  #resize(size: number): boolean {
    if (!this.#resizable || this.#state !== 'open' || this.#held > 0) return false;
    if (this.#ring.size !== size && openssl.SSL_in_init(this.#ssl) !== 0) return false;
    return this.#ring.resize(size);
  }

  #failWith(error: number): void {
    const text = drainErrors();
    this.truncated = text.includes('unexpected eof');
    if (this.truncated && this.#state === 'open') {
      this.#state = 'ended';
      return;
    }
    const why = this.#state === 'handshaking' ? verifyFailure(this.#ssl) : '';
    this.#failText(`${text === '' ? `OpenSSL error ${error}` : text}${why === '' ? '' : ` (${why})`}`);
  }

  #failText(text: string): void {
    this.failure = text;
    this.#state = 'failed';
  }
}
