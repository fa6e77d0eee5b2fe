/** A list as one person stands to it. */
export interface ListOfPerson {
  id: string;
  key: string;
  title: string;
  description: string;
  isPublic: boolean;
  isMember: boolean;
}
