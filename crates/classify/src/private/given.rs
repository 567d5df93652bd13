//! Given names from many places: what tells a person's name from other words with capitals.
//!
//! Owns a list written from general knowledge, and the surnames of those whom everybody speaks of. Refuses completeness:
//! a name that is not here counts where it is introduced.

use std::collections::HashSet;
use std::sync::LazyLock;

use crate::words::{fold, hash_of};

const GIVEN: &str = "aaron abdul abdullah abigail abraham ada adam adele adrian adriana agata agatha agnes agnieszka ahmad ahmed aidan \
    aiko aino aisha ajay akash akira akua alan albert alberto alejandra alejandro aleksander aleksandr aleksandra alessandra alessandro \
    alessia alex alexa alexander alexandra alexandre alexei alexis alfred ali alice alicia alina alisa alison allison alma alvaro amanda \
    amar amara amber amelia amina amir amit amy ana anahita anand anastasia anders andre andrea andreas andrei andrej andrew andrzej \
    andy angela angelica angelo anil anita anja ankita ann anna annabel anne annette annika anthony anton antonia antonio anya aoife \
    apinya april archana ariel arjun armando arnav arne arthur arturo arun asha ashley ashok asif astrid audrey august aurora ava axel \
    ayaan aylin ayse babak barbara barry bartosz basil beatrice beatriz becky ben benedikt benjamin bernard bernd bettina beth bettany \
    bianca bilal birgit björn blanca bo bob bogdan boris brad bradley brandon brenda brian bridget britta bruce bruno bryan caitlin \
    callum camila camille carl carla carlos carmen carol carolina caroline carolyn catalina caterina catherine cathy cecilia cedric \
    celine cesar chad chandra charles charlie charlotte chen cheng chiara chidi chika chinedu chioma chloe chris christa christian \
    christiane christina christine christoph christophe christopher ciaran cindy claire clara claudia claudio clemens colin connor \
    conor constanze cormac craig cristian cristina curtis cynthia daisuke daisy dale damian damien dan dana daniel daniela daniele \
    danielle darius darren dave david dawn deborah deepa deepak deepika denis denise dennis derek deshawn devi diana diane diego dieter \
    dilip dimitri dinesh dirk divya dmitri dmitry dolores dominik dominique don donald donna dora doris dorota dorothea dorothy doug \
    douglas duc dung duncan dylan ebony eddie edgar edith eduardo edward edwin eileen elaine eleanor elena eleni eli elias elif elisa \
    elisabeth elise elizabeth ella ellen emanuel emeka emil emilia emilie emily emine emma emmanuel enrico enrique eric erica erik erika \
    erin ernesto ernst esra esteban esther ethan eugene eun eva evan evelyn ewa fabian fabio farah farid fatih fatima fatma federica \
    federico felix fernanda fernando filip finn fiona flora florence florian frances francesca francesco francis francisco franco \
    francois frank franz fred frederic frederik freya friedrich frieda gabriel gabriela gabriele galina gareth gary gavin gemma geoffrey \
    george georgia georgina gerald gerard gerd gerhard gert giacomo gianluca gianni gillian gina giorgio giovanna giovanni giulia \
    giulio giuseppe gloria gonzalo gordon graham greg gregor gregory greta guido guillaume guillermo gunnar gunter gustav gustavo \
    gwendolyn habib hamza hana hanna hannah hannes hans harald hari harold harriet harry haruka haruto hassan hayley hazel heather \
    heidi heike heinrich heinz helen helena helene helga helmut hendrik henrietta henrik henry herbert hilary hilda hiroshi hong horst howard hugo \
    huong hussein ian ibrahim ida ignacio igor ikram iker ilka ilse imran ines ingeborg ingrid ioana irena irene irina iris isaac isabel \
    isabella isabelle isha ismail istvan ivan ivana ivo jack jackie jacob jacqueline jakob jakub jamal james jamie jan jana jane \
    janet janine janusz jared jasmin jasmine jason javier jay jean jeff jeffrey jelena jennifer jenny jens jeremy jerome jerzy jesper \
    jessica jesus jill jim jimmy jin joachim joan joana joanna joao jochen joe joel johan johann johanna johannes john johnny jon jonas \
    jonathan jordan jorge jose josef joseph josephine joshua joyce juan juana juanita judith judy juha julia julian juliana julie \
    juliette julio jun jung jurgen justin justyna jutta jörg kabir kai kaja kamal kamala kamil karen karim karin karl karla karolina \
    kasia kate katarzyna kateryna katharina katherine kathleen kathrin kathryn katie katja kavita keiko keith kelly ken kenji kenneth \
    kerstin kevin khadija khaled khalid kim kimberly kiran kirsten klaus kofi konstantin kristin kristina krzysztof kurt kwabena kwame \
    kyle kyoko lakshmi lara larry lars latoya laura lauren laurent lea leah leandro leila lena leo leon leonardo leonie leroy leslie \
    liam lidia lily lin linda ling lisa liv liza ljubica logan lola lorena lorenzo louis louisa louise luca lucas lucia luciana lucy \
    ludwig luigi luis luisa lukas lukasz luke luz lydia lynn maciej madeleine madison magda magdalena magnus mahmoud maja malcolm \
    malgorzata malik mamadou manfred manoj manuel manuela marc marcel marcello marcin marco marcos marcus marek margaret margarita maria \
    mariam marian mariana marianne marie mariella marija marina mario marion marisol marjorie mark marko markus marlene marta martha \
    martin martina mary maryam masha mateo mateusz mathias mathieu mathilde matias matteo matthew matthias maureen maurice max maximilian \
    maya meera megan mehdi mehmet mei melanie melissa mercedes meryem michael michaela michal michel michele michelle miguel mike \
    mikhail mila milan milena milica min ming miriam mohamed mohammad mohammed mohan moira molly mona monica monika morgan moritz moses \
    muhammad mustafa myriam nadia nadine nadja naoki naomi narendra natalia natalie natasha nathalie nathan neha neil nelson ngozi \
    nguyễn nguyen nicholas nick nicola nicolas nicole niels nikhil nikita niklas nikola nikolai nikos nina nisha noah noel noemi nora norbert \
    norma norman nuno odile oksana ola olaf olga oliver olivia olivier oluwaseun omar orla oscar oskar osman otto pablo paloma pamela \
    paola paolo pascal patricia patrick paul paula paulina pauline paulo pavel pawel pedro peggy penelope per perry peter petra petros \
    philip philipp philippe phillip phạm phuong pia pierre pieter pilar piotr pooja prakash pranav priya priyanka rachel radek \
    rafael rahul raj rajesh raju rakesh ralf ralph ram rania raphael rashid raul ravi raymond rebecca regina reinhard rekha renata rene \
    ricardo richard rick rita robert roberta roberto robin rodrigo roger rohan roland rolf roman ronald rosa rosemary rosie ross roxana \
    ruben rudolf rudy rui rupert russell ruth ryan sabine sabrina sadia said sakura salma salman sam samantha samir samira samuel sandeep \
    sandra sandro sanjay santiago saoirse sara sarah sascha sasha satoshi saul scott sean sebastian selim selma serena sergei sergey \
    sergio shane shankar shanice shannon sharon shauna sheila shin shirley shreya siddharth sigrid silke silvia simon simona simone siobhan \
    sofia sofie solveig sonia sonja sophia sophie soren stacy stan stanislav stanley stefan stefania stefanie stella stephan stephanie \
    stephen steve steven stuart sunil sunita suresh susan susana susanne suzanne sven svetlana sylvia sylvie tadeusz tamara tania tanja \
    tanya tara tariq tatiana ted teresa terry thandi theo theodor theresa thierry thomas thorsten tiago tim timo timothy tina tobias \
    todd tom tomas tomasz tommaso tommy toni tony tracy trevor trần tristan tuan tyler tyrone udo ulf ulrich ulrike umar ursula usha uwe \
    valentin valentina valeria valerie vanessa vera veronica veronika vicente victor victoria vijay vikram viktor viktoria vimal vincent \
    vincenzo violet viola virginia vishal vivek vivian vladimir volker walter wanda wanjiru warren wayne wei wendy werner wilfried wilhelm \
    william wioletta wojciech wolfgang xavier xiao xin yan yang yannick yasmin yasmina yasuko ying yolanda yoko yoshi yuki yulia yuri \
    yusuf yvette yvonne zahra zainab zeynep zoe zofia zsofia zuzana zuzanna östen \
    bartholomew anselm jeannette ifeoma lindiwe adaeze adebayo adel adeola afonso agustin aida akosua alain alana alba alejo alessio \
    alfonso alhassan alistair amal amadou anders ane anouk anselmo antje antoine arjen arlene armin arnaud asher astrid ayodele azadeh \
    babajide barnaby beata benoit berta bethany bilge birgitta blessing bojan bonnie bronwyn carlotta carmela cassandra catalina cathal \
    celeste chiamaka chinwe clarissa claus clement colette connie consuelo cornelia cosima cyril dagmar damaris darko dariusz delphine \
    desmond didier domenico dragan eamon ebru edna edyta efua eilidh elin elisabetta elke elodie eloise emre enzo erdem estelle esme \
    eugenia eugenie evelina evgeny ezra fadi faisal farida fatou felicity fergus fidel filippo florin folasade fraser frida fumiko \
    gaston genevieve geraldine gerhild gertrud ghislaine gilbert gilles gisela goran grzegorz gudrun gulnara gwen habiba hamid hanneke \
    hector hedwig hermann hortense hristo hubert ilaria imani imelda imogen ineke inga ingrid iria ishaan isolde jadwiga jaime jamila \
    jarek jasper jaya jeanne jelle jerzy jolanta joost jorgen josefina jozef julieta kalpana karsten kazimierz kehinde kerry khanh \
    kieran kimiko kirill klara koen kofi krystyna kwasi ladislav leif lennart leticia lieke lilian liliana lindsay lionel lisbeth loic \
    lothar lorraine lubomir lucinda ludmila lutz mabel maeve maja makoto malin mamoru mandla manon marcela marek margot mariella \
    marijke marisa marlies marlon marta mathilda maude mauricio mbali melinda melody meral mercy mette mihai mikael mireille miroslav \
    mohamad monique muriel murat nadja nanami naledi natacha neema nelly nicolae nicolette nigel nkechi nokuthula noelia norah obinna \
    odette olena olumide onur oona ottilie padma paige palesa pankaj parvati patience pauliina perpetua philomena pietro preeti \
    quentin ragnar ramona rania raquel rasheed ravindra reza rhys ricarda ritu robyn rosalind rosalie rosario rowan roza saanvi sabrina \
    saeed sakshi salome salvatore samuli sandhya sanna sanne sapna sascha savannah selina severine shabnam shanti sheldon shira sibylle \
    sigurd sinead sipho slavica slobodan sofiane soledad solange stelios stig subhash sushma swati sylvain taiwo takeshi tamika tanisha \
    tatjana temitope thabo thandiwe thabiso thea thibault thulani tiffany tjarda tobiasz torsten trine tunde uchenna ursel vaclav valerio \
    vasile vasiliki vesna vidya vilma vincenza vusi wahid waldemar wiebke wilma wim winifred xiomara yaw yetunde yiannis ylva yosef \
    yuko yusra zanele zdenek zeinab zinaida zlatan";

/// Surnames of persons whom anybody may ask about.
const FAMOUS: &str = "aristotle bach beckett beethoven bezos biden bohr bonaparte bowie brahms buffett \
    caesar camus carnegie cezanne chaplin chaucer chekhov chomsky chopin christie churchill cleopatra columbus copernicus \
    curie dali darwin davinci dickens dickinson disney dostoevsky einstein euler faraday faulkner federer fermi feynman \
    fitzgerald flaubert foucault freud gandhi gauss goethe gogol hegel heisenberg hemingway \
    hepburn hilbert hitchcock hitler holmes hugo ibsen jefferson kafka kahlo kant kepler keynes \
    knuth lennon lenin liszt locke lovelace macron madonna mahler mandela marx mccartney merkel messi \
    monet mozart musk mussolini nadella napoleon neruda nietzsche nightingale obama orwell pasteur picasso \
    planck poe presley proust pushkin putin rembrandt ronaldo roosevelt rowling sartre schrodinger schubert \
    scorsese shakespeare shelley socrates spielberg stalin stravinsky tarantino tchaikovsky tesla thatcher thoreau tolkien tolstoy \
    torvalds trump truman turing twain verdi verne vivaldi voltaire warhol wilde wittgenstein woolf wordsworth \
    zuckerberg skywalker vader bennet darcy moriarty gatsby baggins";

fn hash(word: &str) -> u64 {
    hash_of(word.chars().map(fold))
}

fn set(list: &str) -> HashSet<u64> {
    list.split_whitespace().map(hash).collect()
}

/// Whether a word is a given name somewhere.
pub(super) fn is_given(word: &str) -> bool {
    static NAMES: LazyLock<HashSet<u64>> = LazyLock::new(|| set(GIVEN));
    // Of names like Marie-Luise the first part counts.
    let first = word.split('-').next().unwrap_or(word);
    NAMES.contains(&hash(first))
}

/// Whether a word is the surname of somebody whom everybody knows.
pub(super) fn is_famous(word: &str) -> bool {
    static NAMES: LazyLock<HashSet<u64>> = LazyLock::new(|| set(FAMOUS));
    NAMES.contains(&hash(word.trim_end_matches("'s").trim_end_matches("’s")))
}
