/** Whom a mail that is not sent yet is filled in for. */
export interface DraftReader {
  email: string;
  name: string | null;
  /** The owner's own fields of this person. */
  fields: Record<string, unknown>;
}
