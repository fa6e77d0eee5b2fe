export interface Owner {
  id: string;
  email: string;
}

// Beside the request rather than on it: nothing a plugin or a body sets can claim to be the owner.
const owners = new WeakMap<object, Owner>();

export function rememberOwner(request: object, owner: Owner): void {
  owners.set(request, owner);
}

/** `undefined` on pages that are shown to nobody in particular: sign-in, and the mailbox on the owner's own machine. */
export function ownerOf(request: object): Owner | undefined {
  return owners.get(request);
}
