/**
 * Replaces a connection, or a pool of them, while requests go on: new requests use the new one, and the old one is
 * closed when its last request has ended. Certificates, keys and addresses that have changed come into use this way.
 */

export interface RotationOptions<Connection> {
  readonly open: () => Connection;
  readonly close: (connection: Connection) => void;
}

interface Generation<Connection> {
  readonly connection: Connection;
  users: number;
  retired: boolean;
}

export class ConnectionRotation<Connection> {
  readonly #options: RotationOptions<Connection>;
  #current: Generation<Connection>;

  /** Opens the first connection. */
  constructor(options: RotationOptions<Connection>) {
    this.#options = options;
    this.#current = this.#open();
  }

  /** Does `work` with the current connection, which stays open at least as long. */
  async use<T>(work: (connection: Connection) => Promise<T>): Promise<T> {
    const generation = this.#current;
    generation.users += 1;
    try {
      return await work(generation.connection);
    } finally {
      generation.users -= 1;
      this.#closeWhenUnused(generation);
    }
  }

  /** Whether new requests would use this one. */
  isCurrent(connection: Connection): boolean {
    return this.#current.connection === connection;
  }

  /** From now on another connection is used. */
  rotate(): void {
    const old = this.#current;
    this.#current = this.#open();
    old.retired = true;
    this.#closeWhenUnused(old);
  }

  /** Closes the current connection at once. Nothing may be used afterwards. */
  close(): void {
    this.#options.close(this.#current.connection);
  }

  #open(): Generation<Connection> {
    return { connection: this.#options.open(), users: 0, retired: false };
  }

  #closeWhenUnused(generation: Generation<Connection>): void {
    if (generation.retired && generation.users === 0) this.#options.close(generation.connection);
  }
}
