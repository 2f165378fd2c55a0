// Binds a service to the exact bytes of its governing document.
import { createConstitution, fingerprint } from '@hotpath/constitution';

const document = Buffer.from('# Charter\n\nEvery decision is explained.\n');
const approved = fingerprint(document);
console.log(`approved: ${approved.short}`);

const constitution = createConstitution({ active: approved });
console.log(constitution.check(approved.short));
console.log(constitution.check('0000000000000000'));
console.log(constitution.checkHeaders({ 'x-constitutional-hash': approved.short }));

// One space more is another document.
const edited = fingerprint(Buffer.from('# Charter\n\nEvery decision is explained. \n'));
console.log(constitution.check(edited.short));
