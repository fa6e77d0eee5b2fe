/** Where a sign-up came from, as evidence of consent. */
export interface Origin {
  ip: string;
  userAgent: string;
  pageUrl: string;
  /** When it was pressed, where that may be a while ago. */
  at?: Date;
}
