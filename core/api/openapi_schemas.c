#include "openapi.h"
#include <stddef.h>

#define TEXT "{'type':'string'}"
#define TEXT_OR_NULL "{'type':['string','null']}"
#define COUNT "{'type':'integer','minimum':0}"
#define FLAG "{'type':'boolean'}"
#define TIME "{'type':'string','format':'date-time'}"
#define TIME_OR_NULL "{'type':['string','null'],'format':'date-time'}"
#define SPAN "{'type':'string','pattern':'^[0-9]+(ms|s|m|h|d)$','examples':['10m']}"
#define ID(prefix) "{'type':'string','pattern':'^" prefix "_[0-9A-HJKMNP-TV-Z]{13}$'}"
#define ID_OR_NULL(prefix) "{'type':['string','null'],'pattern':'^" prefix "_[0-9A-HJKMNP-TV-Z]{13}$'}"
#define REF(name) "{'$ref':'#/components/schemas/" name "'}"
#define LIST_OF(name) "{'type':'array','items':" REF(name) "}"
#define TEXTS "{'type':'array','items':{'type':'string'}}"
#define NAME "{'type':'string','pattern':'^[a-z0-9_.-]{1,64}$'}"
#define NEXT TEXT_OR_NULL
/* {"items":[...],"next":...} */
#define PAGE_OF(name) \
  "{'type':'object','required':['items','next'],'properties':{'items':" LIST_OF(name) ",'next':" NEXT "}}"

#define MESSAGE_STATES "'queued','sending','sent','delivered','read','failed','expired','cancelled','suppressed','held'"
#define OUTCOMES "'accepted','delivered','retry','rejected','bad_address','throttled','channel_down','unknown'"
#define UNTIL "{'type':'string','enum':['sent','delivered','read','replied']}"
#define CONVERSATION_STATE "{'type':'string','enum':['open','pending','snoozed','closed']}"
#define EVENT_TYPE \
  "{'type':'string','maxLength':100," \
  "'pattern':'^([*]|(message|conversation|customer|consent|touchpoint|campaign|channel)[.].+)$'}"

/* clang-format off */
const struct openapi_schema openapi_schemas[] = {
    {"Problem",
     "{'type':'object','description':'RFC 9457. The code is stable, the words are for people.','required':['status',"
     "'code'],"
     "'properties':{'type':{'type':'string'},'title':" TEXT ",'status':{'type':'integer'},'code':" TEXT ","
     "'request_id':" TEXT
     ",'detail':" TEXT ",'hint':" TEXT ",'errors':{'type':'array','items':{'type':'object','required':['pointer',"
     "'code','detail'],"
     "'properties':{'pointer':{'type':'string','description':'A JSON pointer; ?name is a query parameter'},'code':" TEXT
     ",'detail':" TEXT ",'hint':" TEXT "}}}}}"},
    {"Recipient",
     "{'type':'object','minProperties':1,'maxProperties':10,'description':'A customer, an external key,"
     " or any identities "
     "together. A plugin may bring kinds of its own. phone: E.164 as +34600111222, separators allowed, or a tel: URI;"
     " in national format where the configuration has defaults.country.','properties':{'customer':" ID("cus") ",'external':" TEXT
     ",'email':" TEXT ",'phone':" TEXT "},'additionalProperties':" TEXT ",'examples':[{'email':'ana@example.org'}]}"},
    {"MediaPart",
     "{'type':'object','additionalProperties':false,'properties':{'id':" ID("med") ",'url':{'type':'string',"
     "'format':'uri'},"
     "'type':" TEXT ",'name':" TEXT ",'caption':" TEXT ",'inline':" FLAG "}}"},
    {"Button",
     "{'type':'object','required':['label'],'additionalProperties':false,'properties':{'label':{'type':'string',"
     "'maxLength':256},"
     "'id':" TEXT ",'url':{'type':'string','format':'uri'},'phone':" TEXT "}}"},
    {"Location",
     "{'type':'object','required':['latitude','longitude'],'additionalProperties':false,'properties':{"
     "'latitude':{'type':'number','minimum':-90,'maximum':90},'longitude':{'type':'number','minimum':-180,"
     "'maximum':180},"
     "'name':" TEXT ",'address':" TEXT "}}"},
    {"Content",
     "{'type':'object','minProperties':1,'additionalProperties':false,'description':'What a message says,"
     " whatever the channel. "
     "At least one of text, html, media and location.','properties':{'subject':{'type':'string','maxLength':998},"
     "'text':" TEXT
     ",'html':" TEXT ",'media':{'type':'array','maxItems':32,'items':" REF("MediaPart") "},"
     "'buttons':{'type':'array','maxItems':10,'items':" REF("Button") "},'location':" REF("Location") ","
     "'channels':{'type':'object','maxProperties':16,"
     "'description':'Overrides by channel kind or channel name; none within them',"
     "'additionalProperties':" REF("Content") "},'headers':{'type':'object','maxProperties':20,'additionalProperties':{"
     "'type':'string','maxLength':900},'description':'Of a mail, within channels alone: X-... and a few more'}},"
     "'examples':[{'text':'Order 1042 is on its way.'}]}"},
    {"Step",
     "{'type':'object','required':['channel'],'additionalProperties':false,'properties':{'channel':" NAME ","
     "'until':" UNTIL
     ",'within':" SPAN "}}"},
    {"MessageIn",
     "{'type':'object','required':['to','topic'],'oneOf':[{'required':['content']},{'required':['template']}],"
     "'additionalProperties':false,'properties':{'to':" REF("Recipient")
     ",'topic':" NAME ",'content':" REF("Content") ",'template':" NAME ","
     "'data':{'type':'object','description':'The values of the template; what it declares as required is there'},"
     "'locale':{'type':'string','maxLength':64,'description':'Of the template; left out: the customer\u2019s',"
     "'examples':['pt-BR']},"
     "'channels':{'type':'array','minItems':1,'maxItems':8,'description':'Short for a plan of such steps',"
     "'items':" NAME "},"
     "'plan':{'description':'The name of a plan, or its steps','anyOf':[" NAME ",{'type':'array','minItems':1,"
     "'maxItems':8,'items':"
     REF("Step") "}]},'key':{'type':'string','maxLength':255,"
     "'description':'The business key: the same event twice is one message'},"
     "'campaign':{'type':'string','maxLength':64},'send_at':" TIME ",'expires_in':" SPAN "}}"},
    {"PlanStep",
     "{'type':'object','required':['channel','until'],'properties':{'channel':" TEXT ",'to':{'type':'string',"
     "'description':'Masked'},"
     "'until':" UNTIL ",'within':" SPAN ",'verdict':{'type':'string','enum':['no_address','no_consent',"
     "'address_suppressed','opted_out']},"
     "'alphabet':{'type':'string','enum':['gsm7','ucs2'],'description':'Of an SMS, in an explanation: what it would be sent in now'},"
     "'segments':{'type':'integer','minimum':1,'description':'Of an SMS: how many the network carries it in'},"
     "'degraded':" TEXTS ","
     "'refused':{'type':'string','description':'Of an SMS: why the channel cannot carry it','examples':['text_too_long']},"
     "'cost':{'type':'object','description':'Of an SMS whose channel says its prices','required':['amount','currency','per_segment',"
     "'prefix'],'properties':{'amount':{'type':'string','examples':['0.225']},'currency':{'type':'string','examples':['EUR']},"
     "'per_segment':{'type':'string','examples':['0.075']},'prefix':{'type':'string','description':'Of the address; empty: all others',"
     "'examples':['+34']}}}}}"},
    {"Warning", "{'type':'object','required':['code','detail'],'properties':{'code':" TEXT ",'detail':" TEXT "}}"},
    {"Accepted",
     "{'type':'object','required':['id','status','customer','plan'],'properties':{'id':" ID("msg") ","
     "'status':{'type':'string','enum':['accepted','suppressed','failed']},'reason':" TEXT ",'customer':" ID_OR_NULL(
     "cus") ","
     "'conversation':" ID("cnv") ",'plan':" LIST_OF("PlanStep") ",'warnings':" LIST_OF("Warning") ","
     "'duplicate':{'const':true}}}"},
    {"BatchIn",
     "{'type':'object','required':['items'],'additionalProperties':false,'properties':{'items':{'type':'array',"
     "'minItems':1,"
     "'maxItems':500,'items':" REF("MessageIn") "}}}"},
    {"BatchResults",
     "{'type':'object','required':['items'],'properties':{'items':{'type':'array',"
     "'description':'One for each message, in order',"
     "'items':{'type':'object','required':['status'],'properties':{'status':{'type':'integer'},'message':" REF(
     "Accepted")
     ",'code':" TEXT ",'detail':" TEXT ",'pointer':" TEXT ",'hint':" TEXT "}}}}}"},
    {"Explanation",
     "{'type':'object','required':['verdict','reason','first_step','consent','rules','plan','warnings'],'properties':{"
     "'verdict':{'type':['string','null'],'enum':['send','suppressed','failed',null]},'reason':" TEXT_OR_NULL ","
     "'first_step':{'type':['integer','null']},'consent':" TEXT_OR_NULL ",'rules':{'type':'array',"
     "'items':{'type':'object',"
     "'required':['rule','step','channel','verdict'],'properties':{'rule':" TEXT ",'step':" COUNT ",'channel':" TEXT
     ",'verdict':" TEXT "}}},'plan':" LIST_OF("PlanStep") ",'warnings':" LIST_OF("Warning") "}}"},
    {"Delivery",
     "{'type':'object','required':['id','step','channel','status','attempts'],'properties':{'id':" ID("dlv") ","
     "'step':" COUNT
     ",'channel':" TEXT_OR_NULL ",'status':{'type':'string','enum':['planned','queued','sending','unknown','sent',"
     "'delivered',"
     "'read','failed','skipped','expired','cancelled']},'to':" TEXT ",'identity':" ID_OR_NULL("idn") ","
     "'attempts':" COUNT
     ",'held':" FLAG ",'possible_duplicate':" FLAG ",'deaths':" COUNT ",'provider_id':" TEXT_OR_NULL ","
     "'parts':{'type':'array','description':'Of a message in several parts, such as the segments of an SMS','items':{'type':'object',"
     "'required':['provider_id','status'],'properties':{'provider_id':" TEXT_OR_NULL ",'status':{'type':'string','enum':['queued',"
     "'sent','delivered','read','failed']}}}},"
     "'partial':{'type':'string','description':'So many of so many parts have arrived, and not all','examples':['2/3']},"
     "'code':{'type':'string','description':'What the provider said of a part that failed'},"
     "'started_at':" TIME_OR_NULL ","
     "'handed_at':" TIME_OR_NULL ",'due_at':" TIME_OR_NULL "}}"},
    {"Attempt",
     "{'type':'object','required':['id','step','number','outcome'],'properties':{'id':" ID_OR_NULL("att") ","
     "'step':" COUNT ",'number':" COUNT
     ",'outcome':{'type':'string','enum':['open'," OUTCOMES "]},'code':" TEXT ",'detail':" TEXT ",'provider_id':" TEXT
     ",'started_at':" TIME_OR_NULL ",'ended_at':" TIME_OR_NULL "}}"},
    {"Message",
     "{'type':'object','required':['id','direction','status','customer','created_at'],'properties':{'id':" ID("msg") ","
     "'direction':{'type':'string','enum':['in','out']},'status':{'type':'string','enum':['received'," MESSAGE_STATES
     "]},"
     "'reason':" TEXT ",'kind':" TEXT ",'automatic':" FLAG ",'echo':" FLAG ","
     "'foreign_reply':{'const':true,'description':'It came to the reply address of a message to somebody else'},'test':" FLAG ","
     "'partial':{'const':true,'description':'Of a text in pieces, and not all of it: see segments'},"
     "'keyword':{'type':'string','enum':['stop','start','help'],'description':'The whole message is this one, or means it'},"
     "'review':{'const':'opt_out','description':'Its wording may mean that they want no more: for a person to judge'},"
     "'segments':{'type':'object','description':'It came in pieces','properties':{'total':" COUNT ",'part':{'type':'integer',"
     "'minimum':0,'description':'Of a piece that is a message by itself'},'missing':{'type':'array','items':" COUNT "},"
     "'why':{'type':'string','enum':['timed_out','too_many','late','twice','invalid']}}},"
     "'possible_duplicate':" FLAG ","
     "'degraded':" TEXTS ",'not_before':" TIME ",'expires_at':" TIME ",'key':" TEXT ",'campaign':" TEXT ","
     "'customer':" ID_OR_NULL("cus") ",'identity':" ID_OR_NULL("idn") ",'conversation':" ID_OR_NULL("cnv") ","
     "'topic':" TEXT_OR_NULL ","
     "'channel':" TEXT_OR_NULL ",'channel_kind':" TEXT_OR_NULL ",'created_at':" TIME_OR_NULL ",'at':" TIME_OR_NULL ","
     "'provider_id':" TEXT ",'in_reply_to':" TEXT ",'template':{'type':'string','examples':['order@3']},'locale':" TEXT ","
     "'content':{'type':['object','null']},'payload':{},'target':{},"
     "'fields':{},'quoted':" TEXT ",'body_expired':{'const':true,'description':'What it said, and its decision, are kept no longer'},"
     "'plan':" LIST_OF("PlanStep") ",'decision':{'anyOf':[" REF("Explanation") ",{'type':'null'}]},"
     "'deliveries':" LIST_OF("Delivery")
     ",'attempts':" LIST_OF("Attempt") ",'attempts_expired':{'const':true,'description':'There were attempts; they are kept no"
     " longer'}}}"},
    {"MessageList", PAGE_OF("Message")},
    {"Cancelled",
     "{'type':'object','required':['id','status','cancelled','too_late'],'properties':{'id':" ID("msg") ","
     "'status':{'type':'string','enum':[" MESSAGE_STATES "]},'cancelled':" FLAG ",'too_late':" FLAG "}}"},
    {"ResolveIn",
     "{'type':'object','required':['as'],'additionalProperties':false,'properties':{'as':{'type':'string',"
     "'enum':['resend','discard','sent']}}}"},
    {"Media",
     "{'type':'object','required':['id','type','name','bytes','url','url_expires_at'],'properties':{'id':" ID("med")
     ",'type':" TEXT
     ",'name':" TEXT ",'bytes':" COUNT ",'url':{'type':'string','format':'uri','description':'Open to whoever has it,"
     " until it expires'},"
     "'url_expires_at':" TIME "}}"},
    {"Identities",
     "{'type':'object','description':'By kind: a value or a list of values is linked, null unlinks all of the kind',"
     "'additionalProperties':{'anyOf':[" TEXT ",{'type':'array','items':" TEXT "},{'type':'null'}]},"
     "'examples':[{'email':'ana@example.org','phone':null}]}"},
    {"CustomerIn",
     "{'type':'object','additionalProperties':false,'description':'A merge-patch: what is absent stays,"
     " null empties','properties':{"
     "'name':{'type':['string','null'],'maxLength':255},'locale':{'type':['string','null'],'maxLength':64,"
     "'description':'A language tag (BCP 47)','examples':['pt-BR']},'timezone':{'type':['string','null'],'maxLength':64,"
     "'description':'A name of the IANA database','examples':['Europe/Madrid']},'attributes':{'type':'object'},"
     "'tags':{'type':['array','null'],'maxItems':100,'items':{'type':'string','minLength':1,'maxLength':64}},"
     "'identities':" REF("Identities") "}}"},
    {"Identity",
     "{'type':'object','required':['id','kind','value','assurance'],'properties':{'id':" ID_OR_NULL("idn") ","
     "'kind':" TEXT_OR_NULL ","
     "'value':" TEXT_OR_NULL ",'raw':" TEXT ",'assurance':{'type':'string','enum':['claimed','observed','verified']},"
     "'blocked':" FLAG ","
     "'created_at':" TIME_OR_NULL ",'used_at':" TIME_OR_NULL "}}"},
    {"Consent",
     "{'type':'object','required':['topic','channel_kind','granted','at','source'],'properties':{'topic':" TEXT ","
     "'channel_kind':"
     TEXT_OR_NULL ",'granted':" FLAG ",'at':" TIME_OR_NULL ",'source':" TEXT_OR_NULL ",'proof':" TEXT ",'confirmation':" ID("msg")
     ",'repeated':" FLAG "}}"},
    {"Customer",
     "{'type':'object','required':['id','name','locale','timezone','attributes','tags','identities','consents'],"
     "'properties':{"
     "'id':" ID_OR_NULL("cus") ",'merged_into':" ID("cus") ",'name':" TEXT_OR_NULL ",'locale':" TEXT_OR_NULL ","
     "'timezone':" TEXT_OR_NULL
     ",'attributes':{'type':'object'},'tags':" TEXTS ",'identities':" LIST_OF("Identity") ",'consents':" LIST_OF(
     "Consent") ","
     "'created_at':" TIME_OR_NULL ",'updated_at':" TIME_OR_NULL "}}"},
    {"CustomerList", PAGE_OF("Customer")},
    {"TimelineEntry",
     "{'type':'object','required':['type','at'],'properties':{'type':" TEXT ",'at':" TIME_OR_NULL ",'id':" ID_OR_NULL(
     "evt") ","
     "'customer':" ID_OR_NULL("cus") ",'identity':" ID_OR_NULL("idn") ",'message':{'type':'object'},"
     "'data':{'type':'object'}}}"},
    {"Timeline", PAGE_OF("TimelineEntry")},
    {"ConsentList", PAGE_OF("Consent")},
    {"ConsentIn",
     "{'type':'object','required':['granted'],'additionalProperties':false,'properties':{'granted':" FLAG ","
     "'at':" TIME ","
     "'source':{'type':'string','maxLength':64},'proof':{'type':'string','maxLength':2048},'confirm':" FLAG "}}"},
    {"SuppressionIn",
     "{'type':'object','required':['identity'],'additionalProperties':false,'properties':{'identity':{'type':'string',"
     "'pattern':'^[a-z][a-z0-9_]{0,31}:.+$','examples':['email:ana@example.org']},'reason':{'type':'string',"
     "'maxLength':64},'detail':{'type':'string','maxLength':512}}}"},
    {"Suppression",
     "{'type':'object','required':['identity','reason','at'],'properties':{'identity':" TEXT ",'reason':{'type':'string',"
     "'description':'hard_bounce, soft_bounce, complaint, opted_out, manual, or what was given'},"
     "'channel_kind':{'type':'string','description':'Of opted_out: nothing is sent there on this kind of channel alone'},"
     "'at':" TIME_OR_NULL ",'message':{'description':'The one that came back','allOf':[" ID("msg") "]},'code':" TEXT ","
     "'detail':" TEXT ",'lifted_at':" TIME "}}"},
    {"SuppressionList", PAGE_OF("Suppression")},
    {"EventIn",
     "{'type':'object','required':['type'],'additionalProperties':false,'description':'With to or customer',"
     "'properties':{"
     "'to':" REF("Recipient") ",'customer':" ID("cus") ",'type':{'type':'string','pattern':'^[a-z0-9._-]{1,64}$'},"
     "'at':" TIME ","
     "'data':{'type':'object'},'stage':{'type':'string','enum':['before','during','after'],"
     "'description':'Of the purchase'},"
     "'key':{'type':'string','maxLength':255,'description':'The same event twice is one entry'}},"
     "'examples':[{'to':{'external':'shop-77'},'type':'checkout','data':{'order':'1042'},'stage':'during'}]}"},
    {"EventFiled",
     "{'type':'object','required':['id'],'properties':{'id':" ID_OR_NULL("evt") ",'customer':" ID_OR_NULL("cus") ","
     "'conversation':"
     ID_OR_NULL("cnv") ",'duplicate':" FLAG "}}"},
    {"Event",
     "{'type':'object','required':['id','type','timestamp','data'],'properties':{'id':" ID("evt") ",'type':" TEXT ","
     "'timestamp':"
     TIME_OR_NULL ",'data':{'type':'object','properties':{'facts':{'type':'object'},'message':" REF("Message") ","
     "'conversation':"
     REF("Conversation") ",'customer':" REF("Customer") ",'recent':" LIST_OF("TimelineEntry") "}}}}"},
    {"EventList",
     "{'type':'object','required':['items','cursor','next'],'properties':{'items':" LIST_OF("Event") ","
     "'cursor':{'type':'string',"
     "'description':'Go on from here later; fits every filter'},'next':" NEXT "}}"},
    {"TicketIn", "{'type':'object','additionalProperties':false,'properties':{}}"},
    {"Ticket",
     "{'type':'object','required':['ticket','expires_at','url'],'properties':{'ticket':" TEXT ",'expires_at':" TIME
     ",'url':" TEXT "}}"},
    {"Conversation",
     "{'type':'object','required':['id','customer','state','assignee','tags'],'properties':{'id':" ID_OR_NULL("cnv")
     ",'customer':"
     ID_OR_NULL("cus") ",'identity':" ID_OR_NULL("idn") ",'state':" CONVERSATION_STATE ",'assignee':" TEXT_OR_NULL ","
     "'tags':" TEXTS ","
     "'channel':" TEXT_OR_NULL ",'channel_kind':" TEXT_OR_NULL ",'subject':" TEXT_OR_NULL ","
     "'opened_at':" TIME_OR_NULL ","
     "'updated_at':" TIME_OR_NULL ",'last_inbound_at':" TIME_OR_NULL ",'closed_at':" TIME_OR_NULL ",'version':" COUNT
     "}}"},
    {"ConversationList", PAGE_OF("Conversation")},
    {"ConversationPage",
     "{'type':'object','required':['conversation','items','next'],'properties':{'conversation':" REF("Conversation")
     ",'items':"
     LIST_OF("TimelineEntry") ",'next':" NEXT "}}"},
    {"ConversationPatch",
     "{'type':'object','additionalProperties':false,'properties':{'state':" CONVERSATION_STATE ","
     "'assignee':{'type':['string','null'],'maxLength':255},'tags':{'type':['array','null'],'maxItems':100,"
     "'items':{'type':'string',"
     "'minLength':1,'maxLength':64}}}}"},
    {"ReplyIn",
     "{'type':'object','required':['content'],'additionalProperties':false,'properties':{'content':" REF("Content")
     ",'topic':" NAME
     ",'channel':" NAME ",'send_at':" TIME ",'expires_in':" SPAN "}}"},
    {"NoteIn",
     "{'type':'object','required':['text'],'additionalProperties':false,'properties':{'text':{'type':'string',"
     "'minLength':1,"
     "'maxLength':65536}}}"},
    {"Filter", "{'type':'object','additionalProperties':false,'properties':{'channel':" NAME ",'topic':" NAME "}}"},
    {"SubscriptionIn",
     "{'type':'object','required':['url'],'additionalProperties':false,'properties':{'name':" NAME ","
     "'url':{'type':'string',"
     "'format':'uri','maxLength':2048},'secret':{'type':'string','pattern':'^whsec_',"
     "'description':'Left out: a new one, shown once'},"
     "'types':{'type':'array','maxItems':32,'items':" EVENT_TYPE "},'filter':" REF("Filter") ",'disabled':" FLAG "}}"},
    {"SubscriptionPatch",
     "{'type':'object','additionalProperties':false,'properties':{'url':{'type':'string','format':'uri',"
     "'maxLength':2048},"
     "'types':{'type':'array','maxItems':32,'items':" EVENT_TYPE "},'filter':" REF("Filter") ",'disabled':" FLAG "}}"},
    {"SubscriptionState",
     "{'type':'object','required':['pushed','failed','dead','waiting','retrying','in_flight'],"
     "'properties':{'pushed':" COUNT
     ",'failed':" COUNT ",'dead':" COUNT ",'waiting':" COUNT ",'retrying':" COUNT ",'in_flight':" COUNT ","
     "'lag_ms':" COUNT ","
     "'left_alone_ms':" COUNT ",'last_status':" COUNT ",'last_error':" TEXT ",'last_good_at':" TIME_OR_NULL ","
     "'last_bad_at':" TIME_OR_NULL "}}"},
    {"Subscription",
     "{'type':'object','required':['id','name','url','types','filter','configured','disabled'],"
     "'properties':{'id':" ID("sub") ",'name':"
     TEXT ",'url':" TEXT ",'types':" TEXTS ",'filter':" REF("Filter") ",'configured':" FLAG ",'disabled':" FLAG ","
     "'created_at':"
     TIME_OR_NULL ",'old_secret_until':" TIME_OR_NULL ",'state':{'anyOf':[" REF("SubscriptionState") ","
     "{'type':'null'}]},'secret':{'type':['string','null'],'description':'Shown once: when it is made'}}}"},
    {"SubscriptionList", PAGE_OF("Subscription")},
    {"RotateIn", "{'type':'object','additionalProperties':false,'properties':{'secret':{'type':'string',"
     "'pattern':'^whsec_'}}}"},
    {"Pending",
     "{'type':'object','required':['event','attempts','dead','due_at','last_error'],"
     "'properties':{'event':" ID_OR_NULL("evt") ","
     "'attempts':" COUNT ",'dead':" FLAG ",'due_at':" TIME_OR_NULL ",'last_error':" TEXT "}}"},
    {"DeliveryList",
     "{'type':'object','required':['items','waiting','dead','next'],'properties':{'items':" LIST_OF("Pending") ","
     "'waiting':" COUNT
     ",'dead':" COUNT ",'next':" NEXT "}}"},
    {"ReplayIn",
     "{'type':'object','additionalProperties':false,'description':'Some events, a range, or nothing: all dead ones',"
     "'properties':{"
     "'events':{'type':'array','minItems':1,'maxItems':1000,'items':" ID("evt") "},'after':" TEXT ",'upto':" TEXT "}}"},
    {"Replayed",
     "{'type':'object','required':['queued','next'],'properties':{'queued':" COUNT ",'next':{'type':['string','null'],"
     "'description':'Go on with this as after'}}}"},
    {"TestResult",
     "{'type':'object','required':['ok','status','reason'],'properties':{'ok':" FLAG ",'status':" COUNT ","
     "'reason':" TEXT "}}"},
    {"Channel",
     "{'type':'object','required':['name','plugin','state','paused','held','in_flight','counters'],"
     "'properties':{'name':" TEXT
     ",'plugin':" TEXT_OR_NULL ",'version':" TEXT_OR_NULL ",'channel_kind':" TEXT_OR_NULL ","
     "'address_kind':" TEXT_OR_NULL ",'state':"
     TEXT_OR_NULL ",'cause':" TEXT_OR_NULL ",'remedy':" TEXT_OR_NULL ",'paused':" FLAG ",'can_check':" FLAG ","
     "'paused_by':" TEXT_OR_NULL ","
     "'isolation':{'type':'string','enum':['inline','process']},'process':{'type':['object','null'],'properties':{"
     "'pid':" COUNT ",'deaths':" COUNT ",'memory_bytes':" COUNT ",'sandbox':" TEXT_OR_NULL ",'last_death':" TEXT_OR_NULL "}},"
     "'ordered':" FLAG ","
     "'takes_in':" FLAG ",'rate_per_s':{'type':['number','null']},'held':" COUNT ",'in_flight':" COUNT ","
     "'breakers_open':" COUNT ",'throttled_destinations':" COUNT ","
     "'throttled':{'type':'array','maxItems':20,'description':'Destinations that asked for less','items':{'type':'object',"
     "'required':['destination','rate_per_s','held_s'],'properties':{'destination':" TEXT ","
     "'rate_per_s':{'type':['number','null']},'held_s':" COUNT "}}},"
     "'counters':{'type':'object','additionalProperties':" COUNT "}}}"},
    {"ChannelList", PAGE_OF("Channel")},
    {"CheckResult",
     "{'type':'object','required':['ok','outcome','code','detail'],'properties':{'ok':" FLAG ","
     "'outcome':{'type':'string','enum':["
     OUTCOMES "]},'code':" TEXT_OR_NULL ",'detail':" TEXT_OR_NULL "}}"},
    {"SinkEntry",
     "{'type':'object','required':['number','at','outcome','message','to','parts'],'properties':{'number':" COUNT ","
     "'at':" TIME_OR_NULL
     ",'outcome':" TEXT ",'message':" TEXT ",'attempt':" COUNT ",'resent':" FLAG ",'topic':" TEXT ","
     "'conversation':" TEXT ",'unsubscribe_url':" TEXT ","
     "'subject':" TEXT ",'to':{'type':['object','null']},'parts':{'type':'array','items':{'type':'object'}}}}"},
    {"SinkList",
     "{'type':'object','required':['items','count','forgotten','next'],'properties':{'items':" LIST_OF("SinkEntry")
     ",'count':" COUNT
     ",'forgotten':" COUNT ",'next':" NEXT "}}"},
    {"Plugin",
     "{'type':'object','required':['name','version','abi','sha256','channels'],'properties':{'name':" TEXT ","
     "'version':" TEXT_OR_NULL
     ",'summary':" TEXT_OR_NULL ",'abi':" TEXT ",'channel_kind':" TEXT_OR_NULL ",'address_kind':" TEXT_OR_NULL ","
     "'sha256':" TEXT
     ",'channels':" TEXTS "}}"},
    {"PluginList", PAGE_OF("Plugin")},
    {"Topic",
     "{'type':'object','required':['name','title','class','expires_in','track','configured'],'properties':{'name':" TEXT ","
     "'title':" TEXT ",'track':{'type':'object','required':['clicks','opens'],'properties':{'clicks':" FLAG ",'opens':" FLAG "}},"
     "'class':{'type':'string',"
     "'enum':['critical','conversation','transactional','marketing']},'expires_in':" SPAN ",'configured':" FLAG "}}"},
    {"TopicList", PAGE_OF("Topic")},
    {"TemplateContent",
     "{'type':'object','minProperties':1,'description':'As a content, with Mustache in its texts','additionalProperties':true,"
     "'properties':{'subject':" TEXT ",'text':" TEXT ",'html':" TEXT ",'channels':{'type':'object',"
     "'additionalProperties':" REF("TemplateContent") "}}}"},
    {"TemplateIn",
     "{'type':'object','required':['locales'],'additionalProperties':false,'properties':{"
     "'locales':{'type':'object','minProperties':1,'maxProperties':100,'additionalProperties':" REF("TemplateContent") "},"
     "'default_locale':{'type':'string','description':'Needed with several locales'},"
     "'variables':{'type':'object','maxProperties':200,'additionalProperties':{'type':'object','additionalProperties':false,"
     "'properties':{'required':{'type':'boolean','default':true},"
     "'type':{'type':'string','enum':['any','text','number','boolean','list','object']},"
     "'description':{'type':'string','maxLength':500}}}}},"
     "'examples':[{'locales':{'en':{'subject':'Order {{order}}','text':'Thank you, {{name}}.'}},"
     "'variables':{'order':{},'name':{'type':'text'}}}]}"},
    {"Template",
     "{'type':'object','required':['name','version','updated_at'],'properties':{'name':" NAME ",'version':" COUNT
     ",'configured':" FLAG ",'updated_at':" TIME_OR_NULL ",'locales':" TEXTS ",'default_locale':" TEXT
     ",'template':" REF("TemplateIn") "}}"},
    {"TemplateList", PAGE_OF("Template")},
    {"TemplateVersion",
     "{'type':'object','required':['name','version','updated_at'],'properties':{'name':" NAME ",'version':" COUNT
     ",'updated_at':" TIME_OR_NULL "}}"},
    {"TemplateVersionList", PAGE_OF("TemplateVersion")},
    {"RenderIn",
     "{'type':'object','additionalProperties':false,'properties':{'data':{'type':'object'},'locale':" TEXT ",'channel':" NAME ","
     "'channel_kind':{'type':'string','description':'The content as it is for this kind: its variant laid over the rest'}}}"},
    {"Rendered",
     "{'type':'object','required':['template','locale','content'],'properties':{'template':" TEXT ",'locale':" TEXT
     ",'content':" REF("Content") "}}"},
    {"Scopes",
     "{'type':'array','items':{'type':'string','enum':['messages:send','messages:read','customers:read',"
     "'customers:write',"
     "'customers:erase','events:read','events:write','inbox:read','inbox:reply','subscriptions:write',"
     "'campaigns:write',"
     "'templates:write','channels:admin','metrics:read','admin']}}"},
    {"KeyIn",
     "{'type':'object','required':['name','scopes'],'additionalProperties':false,'properties':{'name':" NAME ","
     "'scopes':" REF("Scopes")
     ",'mode':{'type':'string','enum':['live','test']},'topic':" NAME ",'expires_in':" SPAN ",'expires_at':" TIME "}}"},
    {"Key",
     "{'type':'object','required':['id','name','scopes','mode','configured','created_at','expires_at'],"
     "'properties':{'id':" ID("key") ","
     "'name':" TEXT ",'scopes':" REF("Scopes") ",'mode':{'type':'string','enum':['live','test']},'configured':" FLAG ","
     "'topic':" TEXT ",'capture':{'type':'string','description':'Local part of the address that files a copy of mail sent elsewhere'},"
     "'created_at':" TIME_OR_NULL ",'expires_at':" TIME_OR_NULL "}}"},
    {"KeyMade",
     "{'allOf':[" REF("Key") ",{'type':'object','required':['secret'],'properties':{'secret':{'type':['string','null'],"
     "'description':'Shown once; null in a replay'}}}]}"},
    {"KeyList", PAGE_OF("Key")},
    {"BackupIn",
     "{'type':'object','required':['path'],'additionalProperties':false,'properties':{'path':{'type':'string',"
     "'pattern':'^/',"
     "'description':'A new file on the server'}}}"},
    {"Backup", "{'type':'object','required':['path','bytes'],'properties':{'path':" TEXT ",'bytes':" COUNT "}}"},
    {"Resumed", "{'type':'object','required':['resumed','possible_duplicates','held'],'properties':{'resumed':{'type':'boolean',"
     "'description':'False: it was not paused'},'possible_duplicates':" COUNT ",'held':" COUNT "}}"},
    {"Health", "{'type':'object','required':['status','version'],'properties':{'status':" TEXT ",'version':" TEXT ",'paused':{"
     "'type':'string','description':'There when a backup was restored: accepting works, nothing is sent or pushed'}}}"},
    {NULL, NULL},
};
/* clang-format on */

const struct openapi_query openapi_queries[] = {
    {"to", TEXT, "An identity, as email:ana@example.org"},
    {"customer", ID("cus"), "Of this customer only"},
    {"status", "{'type':'string','enum':[" MESSAGE_STATES "]}", "In this state only"},
    {"topic", NAME, "Of this topic only"},
    {"channel", NAME, "Of this channel only"},
    {"direction", "{'type':'string','enum':['in','out']}", "To the customer or from the customer"},
    {"since", TIME, "Not older than this"},
    {"reason", "{'type':'string','maxLength':64}", "For this reason only"},
    {"channel_kind", TEXT, "Lifts what was said by STOP on this kind of channel, and nothing else"},
    {"lifted", FLAG, "Those that were lifted, not those in force"},
    {"cursor", TEXT, "The next of the page before; bound to path and filter"},
    {"limit", "{'type':'integer','minimum':1,'maximum':200,'default':50}", "Items of a page"},
    {"name", "{'type':'string','maxLength':255}", "The name shown for the file"},
    {"e", TEXT, "When the link expires"},
    {"s", TEXT, "The signature of the link"},
    {"identity", TEXT, "A kind, a colon and a value, as email:ana@example.org"},
    {"order", "{'type':'string','enum':['newest','oldest'],'default':'newest'}", "Which entries come first"},
    {"after", TEXT, "A cursor of the event log, or an evt_ id; without it from the oldest on, a stream from now on"},
    {"types", TEXT, "With commas between: message.received,message.*"},
    {"ticket", TEXT, "Stands for the key"},
    {"state", CONVERSATION_STATE, "In this state only"},
    {"assignee", TEXT, "Of this assignee only"},
    {"dead", FLAG, "Those given up instead of those waiting"},
    {"test", FLAG, "The sink of the test mode"},
    {"address", TEXT, "To this address only"},
    {"message", TEXT, "Copies of this message only"},
    {"version", "{'type':'integer','minimum':0}", "A template as it was in this version"},
    {NULL, NULL, NULL},
};
