/** Both ends may be open. `from` is inside, `to` is not. */
export interface Period {
  from: Date | null;
  to: Date | null;
}
