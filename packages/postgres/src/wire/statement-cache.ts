import type { FieldDescription, TypeSource } from './pg-client.ts';
import { type RowMode, RowShape } from './row-shape.ts';

/** A statement that the server holds under a name, on one connection. */
export class PreparedStatement {
  readonly name: string;
  readonly text: string;
  fields: readonly FieldDescription[] = [];
  lastUse = 0;
  #rows: RowShape | undefined;
  #rowsTypes: TypeSource | undefined;
  #rowsMode: RowMode | undefined;

  constructor(name: string, text: string) {
    this.name = name;
    this.text = text;
  }

  /** How its rows are read; kept as long as the same types and mode are asked for. */
  rowShape(types: TypeSource, mode: RowMode): RowShape {
    if (this.#rows === undefined || this.#rowsTypes !== types || this.#rowsMode !== mode) {
      this.#rows = new RowShape(this.fields, types, mode);
      this.#rowsTypes = types;
      this.#rowsMode = mode;
    }
    return this.#rows;
  }
}

/** The statements that one connection has prepared; the least recently used one makes room for a new one. */
export class StatementCache {
  readonly #capacity: number;
  readonly #statements = new Map<string, PreparedStatement>();
  readonly #toClose: string[] = [];
  #uses = 0;

  constructor(capacity: number) {
    this.#capacity = capacity;
  }

  get size(): number {
    return this.#statements.size;
  }

  get(name: string): PreparedStatement | undefined {
    const found = this.#statements.get(name);
    if (found !== undefined) found.lastUse = ++this.#uses;
    return found;
  }

  add(statement: PreparedStatement): void {
    statement.lastUse = ++this.#uses;
    this.#statements.set(statement.name, statement);
    if (this.#statements.size <= this.#capacity) return;
    let oldest = statement;
    for (const other of this.#statements.values()) if (other.lastUse < oldest.lastUse) oldest = other;
    this.drop(oldest.name);
  }

  /** Forgets a statement and has the server forget it with the next message. */
  drop(name: string): void {
    if (this.#statements.delete(name)) this.#toClose.push(name);
  }

  /** Forgets all of them; the server has done so already. */
  clear(): void {
    this.#statements.clear();
    this.#toClose.length = 0;
  }

  /** Names that the server still holds and nobody will use. */
  takeClosed(): readonly string[] {
    return this.#toClose.length === 0 ? NONE : this.#toClose.splice(0);
  }
}

const NONE: readonly string[] = Object.freeze([]);
