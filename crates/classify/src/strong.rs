//! Phrases that tell the kind of a request almost by themselves, and the words that stand before a verb.
//!
//! Owns what is known about kinds before any training. Refuses the last word: the heads weigh these phrases too, and the
//! exemplars can overrule them.

use std::sync::LazyLock;

use crate::lexicon::Lexicon;

/// Phrases that hardly leave a doubt, one group for each kind of request in the order of [`api::Kind::ALL`]. They are given
/// more weight than other words before any training, so that few exemplars suffice.
const STRONG: [&str; 14] = [
    // Chat.
    "stay in character|roleplay|role play|pretend you are|pretend youre|pretend to be|act as my|be my|lets chat|talk to me|\
        how are you|whats up|good morning|good night|i feel so|im bored|im lonely|keep me company|tell me about yourself|\
        are you a real|you are my|from now on you are|you are now|speak to me like|talk like a|reply in character|respond to the user|\
        continue the conversation|continue the dialogue|generate a helpful|introduce yourself|how would you feel|do you ever|\
        have you ever|do you like|text adventure|dungeon master|wie geht es dir|mir ist langweilig|spiel die rolle|\
        du bist jetzt|fais semblant|tu es mon|comment vas tu|haz de|finge que|que tal|fai finta|come stai|finja|tudo bem|doe alsof|\
        聊聊|聊天|扮演|陪我|話して|なりきって|поговори|поболтаем|как дела",
    // Reasoning.
    "step by step|solve for|solve the equation|solve the following|solve the system|solve this|prove that|prove the|calculate the|calculate|compute|how many ways|find the value|\
        find the limit|find the derivative|find the antiderivative|find the integral|find the maximum|find the minimum|find the area|\
        find all integers|evaluate the integral|evaluate the expression|value of x|simplify the expression|the probability that|\
        what is the probability|expected number|equation|equations|checkmate|unscramble|anagram|who am i|what am i|next number|\
        next term|nth term|in the sequence|logic puzzle|riddle|puzzle|math problem|word problem|number puzzle|sort the following|\
        correct sequence|correct order|logically equivalent|valid argument|what day|how far|how fast|what time will|how old|\
        minimum number of|how much money|significant figures|determine the minimum|without a calculator|in mhz|letter r|\
        caesar|cipher|encrypt|decrypt|backwards|schritt fur schritt|berechne|wie viele|beweise|combien de|calcule|demontre|cuantos|\
        cuantas|calcula|demuestra|quanti|calcola|dimostra|quantos|prove que|hoeveel|bereken|oblicz|计算|证明|求解|多少|方程|計算|\
        証明|求めよ|вычисли|докажи|сколько|реши уравнение|hesapla|kac tane",
    // Classification.
    "classify|categorize|categorise|classification|label the|label each|label this|label every|assign a label|assign one|\
        assign each|assign the|which category|pick a category|choose a category|category from|give the category|a category|\
        what is the sentiment|the sentiment of|sentiment|spam or|is this spam|toxic or|offensive or|determine the topic|\
        intent of|detect the language|what language is|genre|examples of irony|irony or not|sarcastic or|plausible or implausible|\
        reasonable or unreasonable|acceptable or|grammatical acceptability|output 0|output 1|either yes or no|answer either|\
        wrong or not|true or false label|one of the following categories|one of the labels|labels|tag each|tag this|\
        which department|severity|klassifiziere|ordne zu|kategorie|classe cet|classifie|clasifica|classifica|categoriza|etiqueta|\
        sklasyfikuj|分类|归类|好评还是|哪一类|分類|классифицируй|определи тональность|صنف|वर्गीकृत|분류|siniflandir",
    // Extraction.
    "extract|extract the|pull out|pull all|pull the|list all the names|list every|list all people|list all organizations|list all locations|\
        list all dates|list all mentioned|find all names|find all dates|find every|identify all|named entities|named entity|entities in|\
        all entities|entity recognition|ner|key value pairs|which people are mentioned|which companies are mentioned|who is mentioned|\
        as json with keys|return json with|with keys|with fields|fill in the fields|names and dates|prepare a table|into a table|\
        dates and amounts|phone numbers from|email addresses from|keywords from|extrahiere|nenne alle|extrais|extrae|estrai|extraia|\
        haal alle|wyodrebnij|wypisz|提取|抽取|找出所有|列出文中|抽出|書き出して|извлеки|выпиши|استخرج|निकालें|추출|cikar",
    // Inference.
    "premise|premises|hypothesis|entailment|entail|entails|entailed|contradict|contradicts|contradiction|follow from|follows from|\
        can be inferred|can be concluded|conclusion be drawn|conclusion can be drawn|given conclusion|does this imply|supports or refutes|\
        support or refute|supported by the|refuted|given claim|the claim|evidence supports|provided evidence|same meaning|mean the same|paraphrase of each other|\
        are these duplicates|are duplicates|duplicate questions|duplicates|consistent with each other|do the two sentences|\
        relationship between the two sentences|two sentences|sentence 1|sentence 2|statement 1|statement a|logically follow|\
        grounded in|pramisse|hypothese|folgt daraus|widerspricht|premisse|contredit|premisa|hipotesis|premessa|ipotesi|\
        premissa|hipotese|stelling|przeslanka|前提|假设句|是否蕴含|仮説|посылка|гипотеза|следует ли|مقدمة|فرضية|전제|onerme",
    // Comprehension.
    "read the passage|read the text|read the following passage|read the article|read the story|according to the passage|\
        according to the text|according to the article|according to the story|based on the passage|based on the text|\
        based on the article|based on the story|based on the context|based on the information|based on the following passage|\
        based on this|based on the above|based on above|given story|given passage|from the passage|in the passage|\
        answer the question|answer the question based|answer from the|answer using only|using only the|use only the|passage|passages|\
        what does the author|does the text say|does it say|in the text|from the table|according to this|in the story|laut text|\
        laut dem|lies den|d apres le texte|selon le texte|segun el texto|lee el|secondo il testo|leggi il|segundo o texto|\
        volgens de tekst|wedlug tekstu|根据文章|根据短文|根据上文|文章によると|読んで|согласно тексту|прочитай|اقرأ النص|गद्यांश|\
        parcaya gore",
    // Summarization.
    "summarize|summarise|summary|summary of|summarization|summarisation|summarizing|tldr|tl dr|condense|sum up|sum this up|boil down|\
        boil this down|recap|key takeaways|key points|main points|main ideas|executive summary|the gist|gist of|in a nutshell|\
        bullet point summary|abstract for|shorten this article|short version of|fasse zusammen|zusammenfassung|fass zusammen|\
        resume ce|resumez|resumer|resume le|resumen|resume el|resume este|resumelo|riassumi|riassunto|resuma|resumo|samenvatting|vat samen|\
        podsumuj|streszczenie|sammanfatta|总结|摘要|概括|要点|要約|まとめて|кратко изложи|резюмируй|суммируй|لخص|सारांश|요약|ozetle",
    // Translation.
    "translate|translation|translate into|translate to|translate this|translating|translated into|how do you say|how would you say|\
        say in french|say in spanish|in french|in spanish|in german|in italian|in japanese|in chinese|to french|to spanish|to german|\
        to italian|to japanese|to chinese|to english|into english|into french|into spanish|into german|into italian|into japanese|\
        into dutch|from german to|from french to|from english to|from spanish to|ubersetze|ubersetzen|ins deutsche|ins englische|\
        traduis|traduire|traduisez|traduce|traducir|traduzca|traduci|tradurre|traduza|traduzir|vertaal|przetlumacz|oversatt|\
        翻译|译成|翻译成|翻译为|訳して|翻訳|переведи|переведите|ترجم|अनुवाद|번역|cevir",
    // Creative.
    "write a story|write a short story|write a poem|write a haiku|write a song|write a letter|write an email|write a blog post|\
        write an essay|write an article|write a speech|write a slogan|write a script for a|write a scene|write a dialogue|\
        write a product description|write a social media|write a cover letter|write a resignation letter|write a formal email|\
        a formal email|fictional story|poem|haiku|limerick|sonnet|lyrics|short story|bedtime story|slogan|tagline|motto|\
        resignation letter|cover letter for|blog post|social media post|product description|business plan|lesson plan|creative ad|\
        come up with a name|come up with names|name for the|suggest names|brainstorm|invent a|story about|story in which|poem about|song about|\
        letter to|craft a narrative|narrative|appealing title|title for|headline for|compose a|compose the|speech for|toast for|\
        interesting story|compliment|joke about|tell me a joke|ein gedicht|geschichte uber|schreibe eine geschichte|un poeme|une histoire|\
        un poema|un cuento|una storia|una poesia|uma historia|een verhaal|een gedicht|wiersz o|opowiadanie|写一首|写一个故事|写一篇|\
        故事|诗|俳句|物語|歌詞|стихотворение|рассказ|сказку|قصيدة|قصة|कविता|कहानी|siir|hikaye",
    // Code.
    "python|java|javascript|typescript|c++|c program|in c|rust|golang|in go|kotlin|swift|php|ruby|perl|bash|sql|html|css|regex|react|nextjs|\
        next js|tailwind|nodejs|node js|flask|django|docker|kubernetes|git|linux command|command line|shell script|powershell|\
        write a function|write a program|write a script|write code|write the code|implement a|implement the|implement|source code|\
        this code|the code|code snippet|the following code|complete this code|complete the code|fix the code|fix that code|fix this code|\
        unit test|unit tests|algorithm|algorithm that|data structure|linked list|binary tree|binary search tree|given an array|\
        given a string|given a linked list|array of integers|sorted array|sorted arrays|o n|o log|time complexity|nums|leetcode|input output|debug|\
        stack trace|traceback|compile error|segfault|api endpoint|regular expression|def|return true|return false|sqlite|postgres|ffmpeg|\
        discord bot|arduino|assembly|coroutine|pandas|dataframe|programm in|skript|funktion in|fonction qui|funcion que|script en|\
        funzione che|funcao que|用python|用go|用rust|用java|写一个函数|写一个程序|代码|コード|関数を|функцию на|скрипт|код на|코드",
    // Question.
    "what is the|what are the|who was|who is|who wrote|who invented|who won|when was|when did|where is|where was|why do|why does|why is|why did|\
        how does|how do|how is|what causes|what happens|what does|difference between|tell me about|explain the|explain how|explain why|\
        explain what|help me understand|define|name three|name the|capital of|describe the|list of|a list of|lists of|give me the list|make a list|create a list|list some|pros and cons|\
        provide a list|what should i|how can i|how to|what kind of|which country|recommend a|suggest a|was ist|was sind|wer war|wann wurde|\
        warum|erklare|qu est ce|qui a|pourquoi|explique|que es|quien|cuando fue|por que|che cos e|chi ha|perche|o que e|quem foi|\
        wat is|waarom|co to jest|dlaczego|什么是|是什么|为什么|解释|なぜ|とは何|что такое|почему|ما هو|لماذا|क्या है|क्यों|무엇|왜|nedir|neden",
    // Regression.
    "on a scale|scale of 1|scale from|scale of|from 0 to 1|between 0 and 1|between 0 and|from 1 to 5|from 1 to 10|from 0 to 100|from 0 to 5|\
        out of 10|similarity score|similarity between|how similar|semantic similarity|score between|a score|give a score|\
        numeric score|predict the price|predict the score|predict how many|predict the number|predict the value|estimate the price|\
        estimate the value|estimate the probability|how many stars|star rating|number of stars|a number between|decimal number|\
        one decimal|two decimals|single number|just a number|only a number|rate the similarity|rate how|probability between|\
        regression|fair price|resale price|auf einer skala|von 0 bis|von 1 bis|sur une echelle|entre 0 et 1|en una escala|entre 0 y 1|\
        del 0 al|su una scala|da 0 a|numa escala|de 0 a 10|op een schaal|w skali|相似度|打分|0到1|1到10|類似度|0から|по шкале|от 0 до|\
        0 ile 1",
    // Judging.
    "grade this|grade the|grade each|evaluate the answer|evaluate the response|evaluate the following|evaluate this|assess the|\
        assess this|judge the|judge this|judge which|critique|constructive feedback|give feedback|feedback on|review this essay|\
        which response is better|which answer is better|which is better|which of the two|which one is better|better response|\
        better answer|assistant a|assistant b|response a|response b|answer a|answer b|model a|model b|rubric|is this answer correct|\
        is the answer correct|is the student|students answer|student answer|peers work|peer review|rank the answers|rank these|\
        rate the quality|rate the helpfulness|helpfulness|what would you change|strengths and weaknesses|annotate|annotation guidelines|\
        bewerte die antwort|beurteile|welche antwort|evalue la reponse|quelle reponse|evalua la respuesta|cual respuesta|valuta la|\
        quale risposta|avalie a resposta|beoordeel|ocen odpowiedz|评价|评估|点评|哪个回答|哪个更好|採点|どちらの回答|оцени ответ|قيم",
    // Rewriting.
    "rewrite|rephrase|paraphrase|reword|proofread|polish|fix the grammar|fix grammar|correct the grammar|correct the spelling|\
        grammatically correct|more grammatically|make this sound|make it sound|sound more|more formal|more concise|more polite|\
        more professional|simplify|simplify this|in plain english|in simpler words|make this shorter|make it shorter|expand this|\
        convert this|convert these|convert the following|turn this into|turn these|change the tone|change this|change the first|change the response|\
        active voice|passive voice|third person|first person to|improve the wording|improve this|edit this|edit the|stand alone|\
        standalone|in the style of|title case|umformulieren|formuliere|verbessere|korrigiere|freundlicher|reformule|corrige|reecris|reescribe|\
        corrige este|reformula|riscrivi|correggi|reescreva|corrija|herschrijf|herformuleer|przepisz|popraw|skriv om|改写|润色|改得|\
        改成|修改|言い換え|書き直して|丁寧|перепиши|перефразируй|исправь|أعد صياغة|다시 써|yeniden yaz|duzelt",
];

/// Words that may stand before the verb of what is asked: "could you please", "your task is to".
const FILLERS: &str = "please|pls|plz|can|could|would|will|you|u|kindly|now|then|and|also|i|want|need|like|id|would|to|help|me|us|your|\
    task|job|role|goal|is|in|this|hi|hello|hey|ok|okay|so|let|lets|first|next|finally|just|do|be|should|must|have|try|the|following|\
    bitte|kannst|konnen|sie|du|mir|por|favor|puedes|podrias|peux|pouvez|tu|vous|stp|per|favore|puoi|pode|voce|alsjeblieft|kun|je|\
    prosze|mozesz|请|帮|我|你|пожалуйста|можешь";

/// The kinds that have a group of strong phrases: all of them.
pub(crate) const STRONGS: usize = STRONG.len();

/// The strong phrases, ready to search; a group's number is its kind's place.
pub(crate) fn strong() -> &'static Lexicon {
    static LEXICON: LazyLock<Lexicon> = LazyLock::new(|| Lexicon::new((0_u16..).zip(STRONG)));
    &LEXICON
}

/// Words before a verb, ready to search.
pub(crate) fn fillers() -> &'static Lexicon {
    static LEXICON: LazyLock<Lexicon> = LazyLock::new(|| Lexicon::new([(0, FILLERS)]));
    &LEXICON
}
