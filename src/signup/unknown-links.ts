/** What a page says of a link to leave by which nobody could be taken off. */
export const UNKNOWN_LINKS = {
  not_ours: {
    heading: 'This link is not complete',
    message: 'Please open the link from the mail again, whole. Every mail has one at its end.',
  },
  lost: {
    heading: 'We do not know this mail any more',
    message: 'So we cannot tell which address to take off. Please answer the mail: its sender will do it.',
  },
} as const;
