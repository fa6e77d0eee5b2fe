/** A funnel as its reader sees it: something to get mails about, or not. */
export interface Topic {
  key: string;
  title: string;
  optedOut: boolean;
  /** When the person opted out; null when they have not. */
  since: Date | null;
}
