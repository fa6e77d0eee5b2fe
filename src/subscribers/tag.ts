/** Begins the tags by which orders say what was bought; nobody else renames, merges or removes them. */
export const BOUGHT = 'bought:';

export interface StoredTag {
  id: string;
  name: string;
  subscribers: number;
  createdAt: Date;
}
