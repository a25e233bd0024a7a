BEGIN TRANSACTION;
CREATE TABLE alembic_version (
	version_num VARCHAR(32) NOT NULL, 
	PRIMARY KEY (version_num)
);
INSERT INTO "alembic_version" VALUES('v3.2.0.a');
CREATE TABLE studies (
	study_id INTEGER NOT NULL, 
	study_name VARCHAR(512) NOT NULL, 
	PRIMARY KEY (study_id)
);
INSERT INTO "studies" VALUES(1,'digits');
CREATE TABLE study_directions (
	study_direction_id INTEGER NOT NULL, 
	direction VARCHAR(8) NOT NULL, 
	study_id INTEGER NOT NULL, 
	objective INTEGER NOT NULL, 
	PRIMARY KEY (study_direction_id), 
	UNIQUE (study_id, objective), 
	FOREIGN KEY(study_id) REFERENCES studies (study_id)
);
INSERT INTO "study_directions" VALUES(1,'MINIMIZE',1,0);
CREATE TABLE study_system_attributes (
	study_system_attribute_id INTEGER NOT NULL, 
	study_id INTEGER, 
	"key" VARCHAR(512), 
	value_json TEXT, 
	PRIMARY KEY (study_system_attribute_id), 
	UNIQUE (study_id, "key"), 
	FOREIGN KEY(study_id) REFERENCES studies (study_id)
);
CREATE TABLE study_user_attributes (
	study_user_attribute_id INTEGER NOT NULL, 
	study_id INTEGER, 
	"key" VARCHAR(512), 
	value_json TEXT, 
	PRIMARY KEY (study_user_attribute_id), 
	UNIQUE (study_id, "key"), 
	FOREIGN KEY(study_id) REFERENCES studies (study_id)
);
INSERT INTO "study_user_attributes" VALUES(1,1,'spec','{"objective": "digits-cnn", "model": null, "options": {}, "source": "ada3cf09466313ca5a9e07405677b847ed72037ce7eb79a203977d0d017aea83", "data": "64b7511963e67f7ae1d61ca4d822b8fcaf823f45fa42f4e8a78ff39636b1752b", "space": [{"name": "n_blocks", "choices": [1]}, {"name": "filters_1", "choices": [3, 4]}, {"name": "kernel", "choices": [3]}, {"name": "dropout", "type": "float", "low": 0.1, "high": 0.3}, {"name": "dense_units", "choices": [8]}, {"name": "optimizer", "choices": ["adam", "rmsprop"]}, {"name": "learning_rate", "type": "float", "low": 0.0015, "high": 0.01, "log": true, "when": {"optimizer": ["adam", "rmsprop"]}}, {"name": "batch_size", "choices": [16]}, {"name": "label_smoothing", "type": "float", "low": 0.02, "high": 0.1}, {"name": "schedule", "choices": ["cosine", "one_cycle"]}, {"name": "shift", "type": "float", "low": 0.03, "high": 0.1}, {"name": "rotation", "type": "float", "low": 4.0, "high": 15.0}, {"name": "zoom", "type": "float", "low": 0.03, "high": 0.12}], "direction": "minimize", "seed": 11, "epochs": 2, "precision": "float32", "threads": 1, "deterministic": true, "sampler": "random", "pruner": "none", "timeout_s": null, "grace_s": 60.0, "heartbeat_s": 15.0, "max_attempts": 3, "trial_timeout_s": null, "checkpoint_every": 1, "keep_checkpoints": "all", "refits": null, "refits_token": null, "metric": "log_loss", "backend": "tensorflow"}');
INSERT INTO "study_user_attributes" VALUES(2,1,'token','"41389cb396e04d87ee55daa1e0cd95a6"');
INSERT INTO "study_user_attributes" VALUES(3,1,'versions','{"platform": "Linux-x86_64", "cpu": "AMD EPYC", "device": "cpu", "python": "3.11.7", "slot-study": "0.1.0", "optuna": "5.0.0", "tensorflow": "2.21.0", "keras": "3.15.1", "numpy": "2.4.6", "sqlalchemy": "2.1.9"}');
INSERT INTO "study_user_attributes" VALUES(4,1,'created_by','"root@vm"');
INSERT INTO "study_user_attributes" VALUES(5,1,'created_at','"2026-11-30T18:44:02.061000"');
INSERT INTO "study_user_attributes" VALUES(6,1,'data_dir','"@FOLDER@/data"');
INSERT INTO "study_user_attributes" VALUES(7,1,'expected_trial_s','0.43124354461251646');
INSERT INTO "study_user_attributes" VALUES(8,1,'n_slots','4');
INSERT INTO "study_user_attributes" VALUES(9,1,'work_dir','"129761569a55b95a"');
INSERT INTO "study_user_attributes" VALUES(10,1,'used','{"used_s": 31.796, "at": null}');
CREATE TABLE trial_heartbeats (
	trial_heartbeat_id INTEGER NOT NULL, 
	trial_id INTEGER NOT NULL, 
	heartbeat DATETIME NOT NULL, 
	PRIMARY KEY (trial_heartbeat_id), 
	UNIQUE (trial_id), 
	FOREIGN KEY(trial_id) REFERENCES trials (trial_id)
);
INSERT INTO "trial_heartbeats" VALUES(1,1,'2026-11-30 18:44:04.711000');
INSERT INTO "trial_heartbeats" VALUES(2,2,'2026-11-30 18:44:17.354000');
INSERT INTO "trial_heartbeats" VALUES(3,3,'2026-11-30 18:44:29.283000');
CREATE TABLE trial_intermediate_values (
	trial_intermediate_value_id INTEGER NOT NULL, 
	trial_id INTEGER NOT NULL, 
	step INTEGER NOT NULL, 
	intermediate_value FLOAT, 
	intermediate_value_type VARCHAR(7) NOT NULL, 
	PRIMARY KEY (trial_intermediate_value_id), 
	UNIQUE (trial_id, step), 
	FOREIGN KEY(trial_id) REFERENCES trials (trial_id)
);
INSERT INTO "trial_intermediate_values" VALUES(1,1,0,1.45190511611781825074e+00,'FINITE');
INSERT INTO "trial_intermediate_values" VALUES(2,1,1,1.47594620583886837472e+00,'FINITE');
INSERT INTO "trial_intermediate_values" VALUES(3,2,0,1.45555368799055662165e+00,'FINITE');
INSERT INTO "trial_intermediate_values" VALUES(4,2,1,1.54741052574043713718e+00,'FINITE');
INSERT INTO "trial_intermediate_values" VALUES(5,3,0,1.30043857877920476795e+00,'FINITE');
CREATE TABLE trial_params (
	param_id INTEGER NOT NULL, 
	trial_id INTEGER, 
	param_name VARCHAR(512), 
	param_value FLOAT, 
	distribution_json TEXT, 
	PRIMARY KEY (param_id), 
	UNIQUE (trial_id, param_name), 
	FOREIGN KEY(trial_id) REFERENCES trials (trial_id)
);
INSERT INTO "trial_params" VALUES(1,1,'n_blocks',0.0,'{"name": "CategoricalDistribution", "attributes": {"choices": [1]}}');
INSERT INTO "trial_params" VALUES(2,1,'filters_1',0.0,'{"name": "CategoricalDistribution", "attributes": {"choices": [3, 4]}}');
INSERT INTO "trial_params" VALUES(3,1,'kernel',0.0,'{"name": "CategoricalDistribution", "attributes": {"choices": [3]}}');
INSERT INTO "trial_params" VALUES(4,1,'dropout',1.75362550422415941486e-01,'{"name": "FloatDistribution", "attributes": {"step": null, "low": 0.1, "high": 0.3, "log": false}}');
INSERT INTO "trial_params" VALUES(5,1,'dense_units',0.0,'{"name": "CategoricalDistribution", "attributes": {"choices": [8]}}');
INSERT INTO "trial_params" VALUES(6,1,'optimizer',1.0,'{"name": "CategoricalDistribution", "attributes": {"choices": ["adam", "rmsprop"]}}');
INSERT INTO "trial_params" VALUES(7,1,'learning_rate',2.25003703471453276804e-03,'{"name": "FloatDistribution", "attributes": {"step": null, "low": 0.0015, "high": 0.01, "log": true}}');
INSERT INTO "trial_params" VALUES(8,1,'batch_size',0.0,'{"name": "CategoricalDistribution", "attributes": {"choices": [16]}}');
INSERT INTO "trial_params" VALUES(9,1,'label_smoothing',3.03971559213660827425e-02,'{"name": "FloatDistribution", "attributes": {"step": null, "low": 0.02, "high": 0.1, "log": false}}');
INSERT INTO "trial_params" VALUES(10,1,'schedule',1.0,'{"name": "CategoricalDistribution", "attributes": {"choices": ["cosine", "one_cycle"]}}');
INSERT INTO "trial_params" VALUES(11,1,'shift',4.1954775562154114632e-02,'{"name": "FloatDistribution", "attributes": {"step": null, "low": 0.03, "high": 0.1, "log": false}}');
INSERT INTO "trial_params" VALUES(12,1,'rotation',6.92072975929356193347e+00,'{"name": "FloatDistribution", "attributes": {"step": null, "low": 4.0, "high": 15.0, "log": false}}');
INSERT INTO "trial_params" VALUES(13,1,'zoom',9.61379958280159929717e-02,'{"name": "FloatDistribution", "attributes": {"step": null, "low": 0.03, "high": 0.12, "log": false}}');
INSERT INTO "trial_params" VALUES(14,2,'n_blocks',0.0,'{"name": "CategoricalDistribution", "attributes": {"choices": [1]}}');
INSERT INTO "trial_params" VALUES(15,2,'filters_1',0.0,'{"name": "CategoricalDistribution", "attributes": {"choices": [3, 4]}}');
INSERT INTO "trial_params" VALUES(16,2,'kernel',0.0,'{"name": "CategoricalDistribution", "attributes": {"choices": [3]}}');
INSERT INTO "trial_params" VALUES(17,2,'dropout',2.65673687654559564919e-01,'{"name": "FloatDistribution", "attributes": {"step": null, "low": 0.1, "high": 0.3, "log": false}}');
INSERT INTO "trial_params" VALUES(18,2,'dense_units',0.0,'{"name": "CategoricalDistribution", "attributes": {"choices": [8]}}');
INSERT INTO "trial_params" VALUES(19,2,'optimizer',0.0,'{"name": "CategoricalDistribution", "attributes": {"choices": ["adam", "rmsprop"]}}');
INSERT INTO "trial_params" VALUES(20,2,'learning_rate',3.33254501550739497262e-03,'{"name": "FloatDistribution", "attributes": {"step": null, "low": 0.0015, "high": 0.01, "log": true}}');
INSERT INTO "trial_params" VALUES(21,2,'batch_size',0.0,'{"name": "CategoricalDistribution", "attributes": {"choices": [16]}}');
INSERT INTO "trial_params" VALUES(22,2,'label_smoothing',7.44434516639412291461e-02,'{"name": "FloatDistribution", "attributes": {"step": null, "low": 0.02, "high": 0.1, "log": false}}');
INSERT INTO "trial_params" VALUES(23,2,'schedule',0.0,'{"name": "CategoricalDistribution", "attributes": {"choices": ["cosine", "one_cycle"]}}');
INSERT INTO "trial_params" VALUES(24,2,'shift',9.63106034092048590711e-02,'{"name": "FloatDistribution", "attributes": {"step": null, "low": 0.03, "high": 0.1, "log": false}}');
INSERT INTO "trial_params" VALUES(25,2,'rotation',1.16478105609034230381e+01,'{"name": "FloatDistribution", "attributes": {"step": null, "low": 4.0, "high": 15.0, "log": false}}');
INSERT INTO "trial_params" VALUES(26,2,'zoom',7.18768637862802761695e-02,'{"name": "FloatDistribution", "attributes": {"step": null, "low": 0.03, "high": 0.12, "log": false}}');
INSERT INTO "trial_params" VALUES(27,3,'n_blocks',0.0,'{"name": "CategoricalDistribution", "attributes": {"choices": [1]}}');
INSERT INTO "trial_params" VALUES(28,3,'filters_1',1.0,'{"name": "CategoricalDistribution", "attributes": {"choices": [3, 4]}}');
INSERT INTO "trial_params" VALUES(29,3,'kernel',0.0,'{"name": "CategoricalDistribution", "attributes": {"choices": [3]}}');
INSERT INTO "trial_params" VALUES(30,3,'dropout',2.5200315564877173724e-01,'{"name": "FloatDistribution", "attributes": {"step": null, "low": 0.1, "high": 0.3, "log": false}}');
INSERT INTO "trial_params" VALUES(31,3,'dense_units',0.0,'{"name": "CategoricalDistribution", "attributes": {"choices": [8]}}');
INSERT INTO "trial_params" VALUES(32,3,'optimizer',1.0,'{"name": "CategoricalDistribution", "attributes": {"choices": ["adam", "rmsprop"]}}');
INSERT INTO "trial_params" VALUES(33,3,'learning_rate',7.73568350991664203941e-03,'{"name": "FloatDistribution", "attributes": {"step": null, "low": 0.0015, "high": 0.01, "log": true}}');
INSERT INTO "trial_params" VALUES(34,3,'batch_size',0.0,'{"name": "CategoricalDistribution", "attributes": {"choices": [16]}}');
INSERT INTO "trial_params" VALUES(35,3,'label_smoothing',8.10088443249097761578e-02,'{"name": "FloatDistribution", "attributes": {"step": null, "low": 0.02, "high": 0.1, "log": false}}');
INSERT INTO "trial_params" VALUES(36,3,'schedule',0.0,'{"name": "CategoricalDistribution", "attributes": {"choices": ["cosine", "one_cycle"]}}');
INSERT INTO "trial_params" VALUES(37,3,'shift',6.45339166751513204633e-02,'{"name": "FloatDistribution", "attributes": {"step": null, "low": 0.03, "high": 0.1, "log": false}}');
INSERT INTO "trial_params" VALUES(38,3,'rotation',9.76003548828102,'{"name": "FloatDistribution", "attributes": {"step": null, "low": 4.0, "high": 15.0, "log": false}}');
INSERT INTO "trial_params" VALUES(39,3,'zoom',5.62608419280932192663e-02,'{"name": "FloatDistribution", "attributes": {"step": null, "low": 0.03, "high": 0.12, "log": false}}');
CREATE TABLE trial_system_attributes (
	trial_system_attribute_id INTEGER NOT NULL, 
	trial_id INTEGER, 
	"key" VARCHAR(512), 
	value_json TEXT, 
	PRIMARY KEY (trial_system_attribute_id), 
	UNIQUE (trial_id, "key"), 
	FOREIGN KEY(trial_id) REFERENCES trials (trial_id)
);
CREATE TABLE trial_user_attributes (
	trial_user_attribute_id INTEGER NOT NULL, 
	trial_id INTEGER, 
	"key" VARCHAR(512), 
	value_json TEXT, 
	PRIMARY KEY (trial_user_attribute_id), 
	UNIQUE (trial_id, "key"), 
	FOREIGN KEY(trial_id) REFERENCES trials (trial_id)
);
INSERT INTO "trial_user_attributes" VALUES(1,1,'slot','0');
INSERT INTO "trial_user_attributes" VALUES(2,1,'attempt','1');
INSERT INTO "trial_user_attributes" VALUES(3,2,'slot','1');
INSERT INTO "trial_user_attributes" VALUES(4,2,'attempt','1');
INSERT INTO "trial_user_attributes" VALUES(5,3,'slot','2');
INSERT INTO "trial_user_attributes" VALUES(6,3,'attempt','1');
INSERT INTO "trial_user_attributes" VALUES(7,4,'slot','3');
INSERT INTO "trial_user_attributes" VALUES(8,4,'attempt','1');
INSERT INTO "trial_user_attributes" VALUES(9,1,'worker','"vm:309230:1587"');
INSERT INTO "trial_user_attributes" VALUES(10,1,'claim','"9665a19e31afb91575952317271bb75a"');
INSERT INTO "trial_user_attributes" VALUES(11,1,'seed','1063777319');
INSERT INTO "trial_user_attributes" VALUES(12,1,'environment','{"platform": "Linux-x86_64", "cpu": "AMD EPYC", "device": "cpu", "python": "3.11.7", "slot-study": "0.1.0", "optuna": "5.0.0", "tensorflow": "2.21.0", "keras": "3.15.1", "numpy": "2.4.6", "sqlalchemy": "2.1.9"}');
INSERT INTO "trial_user_attributes" VALUES(13,1,'info','{"n_epochs": 2.0, "train_s": 7.823706133996893, "images_per_s": 646.4480679511765, "first_step_s": 7.551449151997076, "images": 192.0, "flop": 3962880.0, "valid_accuracy": 0.25, "valid_loss": 1.4759462058388684, "import_s": 0.000291272001049947, "build_s": 2.4944596700006514, "checkpoint_s": 0.1710055059993465, "first_valid_s": 1.0399854279967258, "valid_s": 0.015220056000543991, "report_s": 0.0180736149995937, "cost_s": 0.6062152660015272}');
INSERT INTO "trial_user_attributes" VALUES(14,1,'ended','"9665a19e31afb91575952317271bb75a"');
INSERT INTO "trial_user_attributes" VALUES(15,2,'worker','"vm:309230:1587"');
INSERT INTO "trial_user_attributes" VALUES(16,2,'claim','"fca17aee27fff226a3863d9d5df1bd97"');
INSERT INTO "trial_user_attributes" VALUES(17,2,'seed','919233734');
INSERT INTO "trial_user_attributes" VALUES(18,2,'environment','{"platform": "Linux-x86_64", "cpu": "AMD EPYC", "device": "cpu", "python": "3.11.7", "slot-study": "0.1.0", "optuna": "5.0.0", "tensorflow": "2.21.0", "keras": "3.15.1", "numpy": "2.4.6", "sqlalchemy": "2.1.9"}');
INSERT INTO "trial_user_attributes" VALUES(19,2,'info','{"n_epochs": 2.0, "train_s": 7.855980645003001, "images_per_s": 899.8002208253337, "first_step_s": 7.6603816710012325, "images": 192.0, "flop": 3962880.0, "valid_accuracy": 0.0, "valid_loss": 1.5474105257404371, "import_s": 0.0003207359986845404, "build_s": 2.031684146000771, "checkpoint_s": 0.17880933199921856, "first_valid_s": 0.9375489990015922, "valid_s": 0.028803711997170467, "report_s": 0.0031955570011632517, "cost_s": 0.4391436430014437}');
INSERT INTO "trial_user_attributes" VALUES(20,2,'ended','"fca17aee27fff226a3863d9d5df1bd97"');
INSERT INTO "trial_user_attributes" VALUES(21,3,'worker','"vm:309230:1587"');
INSERT INTO "trial_user_attributes" VALUES(22,3,'claim','"f6e9b19e2fa34e6fd4002f5f74974139"');
INSERT INTO "trial_user_attributes" VALUES(23,3,'seed','1737231722');
INSERT INTO "trial_user_attributes" VALUES(24,3,'environment','{"platform": "Linux-x86_64", "cpu": "AMD EPYC", "device": "cpu", "python": "3.11.7", "slot-study": "0.1.0", "optuna": "5.0.0", "tensorflow": "2.21.0", "keras": "3.15.1", "numpy": "2.4.6", "sqlalchemy": "2.1.9"}');
INSERT INTO "trial_user_attributes" VALUES(25,3,'reason','"released"');
INSERT INTO "trial_user_attributes" VALUES(26,3,'ended','"f6e9b19e2fa34e6fd4002f5f74974139"');
INSERT INTO "trial_user_attributes" VALUES(27,5,'attempt','1');
INSERT INTO "trial_user_attributes" VALUES(28,5,'slot','2');
INSERT INTO "trial_user_attributes" VALUES(29,5,'reached','0');
CREATE TABLE trial_values (
	trial_value_id INTEGER NOT NULL, 
	trial_id INTEGER NOT NULL, 
	objective INTEGER NOT NULL, 
	value FLOAT, 
	value_type VARCHAR(7) NOT NULL, 
	PRIMARY KEY (trial_value_id), 
	UNIQUE (trial_id, objective), 
	FOREIGN KEY(trial_id) REFERENCES trials (trial_id)
);
INSERT INTO "trial_values" VALUES(1,1,0,1.47594620583886837472e+00,'FINITE');
INSERT INTO "trial_values" VALUES(2,2,0,1.54741052574043713718e+00,'FINITE');
CREATE TABLE trials (
	trial_id INTEGER NOT NULL, 
	number INTEGER, 
	study_id INTEGER, 
	state VARCHAR(8) NOT NULL, 
	datetime_start DATETIME, 
	datetime_complete DATETIME, 
	PRIMARY KEY (trial_id), 
	FOREIGN KEY(study_id) REFERENCES studies (study_id)
);
INSERT INTO "trials" VALUES(1,0,1,'COMPLETE','2026-11-30 18:44:04.709000','2026-11-30 18:44:17.293000');
INSERT INTO "trials" VALUES(2,1,1,'COMPLETE','2026-11-30 18:44:17.354000','2026-11-30 18:44:29.203000');
INSERT INTO "trials" VALUES(3,2,1,'FAIL','2026-11-30 18:44:29.283000','2026-11-30 18:44:36.289000');
INSERT INTO "trials" VALUES(4,3,1,'WAITING',NULL,NULL);
INSERT INTO "trials" VALUES(5,4,1,'WAITING',NULL,NULL);
CREATE TABLE version_info (
	version_info_id INTEGER NOT NULL, 
	schema_version INTEGER, 
	library_version VARCHAR(256), 
	PRIMARY KEY (version_info_id), 
	CHECK (version_info_id=1)
);
INSERT INTO "version_info" VALUES(1,12,'5.0.0');
CREATE UNIQUE INDEX ix_studies_study_name ON studies (study_name);
CREATE INDEX ix_trials_study_id ON trials (study_id);
CREATE INDEX ix_trials_study_id_state_number ON trials (study_id, state, number);
COMMIT;
